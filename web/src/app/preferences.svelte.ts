/** How the reader likes the page; kept in the browser. */

import type { Palette } from '../arithmetic/colours';
import { readStore, writeStore } from './storage';

export type Theme = 'system' | 'light' | 'dark';

const THEMES: readonly Theme[] = ['system', 'light', 'dark'];

class Preferences {
  theme: Theme = $state('system');
  palette: Palette = $state('safe');
  /** Of a feature's own view: the rows of patches asked for, and their zoom; null: fitting. */
  patchRows: number = $state(8);
  patchZoom: number | null = $state(null);
  /** Changes when the colours in force change; canvases draw again. */
  appearance = $state(0);
  #dark = matchMedia('(prefers-color-scheme: dark)');

  constructor() {
    const stored = readStore<Record<string, unknown>>('preferences', {});
    if (THEMES.includes(stored?.['theme'] as Theme)) this.theme = stored['theme'] as Theme;
    if (stored?.['palette'] === 'hues') this.palette = 'hues';
    const rows = stored?.['patchRows'];
    if (typeof rows === 'number' && rows > 0) this.patchRows = rows;
    const zoom = stored?.['patchZoom'];
    if (typeof zoom === 'number') this.patchZoom = zoom;
    this.#apply();
    this.#dark.addEventListener('change', () => this.#apply());
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    this.#apply();
    this.#keep();
  }

  setPalette(palette: Palette): void {
    this.palette = palette;
    this.#keep();
  }

  setPatches(rows: number, zoom: number | null): void {
    this.patchRows = rows;
    this.patchZoom = zoom;
    this.#keep();
  }

  #apply(): void {
    const system = this.#dark.matches ? 'dark' : 'light';
    document.documentElement.dataset['theme'] = this.theme === 'system' ? system : this.theme;
    this.appearance++;
  }

  #keep(): void {
    const { theme, palette, patchRows, patchZoom } = this;
    writeStore('preferences', { theme, palette, patchRows, patchZoom });
  }
}

export const preferences = new Preferences();
