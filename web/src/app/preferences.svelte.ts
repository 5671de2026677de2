/** How the reader likes the page; kept in the browser. */

import type { Palette } from '../arithmetic/colours';
import { readStore, writeStore } from './storage';

export type Theme = 'system' | 'light' | 'dark';

const THEMES: readonly Theme[] = ['system', 'light', 'dark'];

class Preferences {
  theme: Theme = $state('system');
  palette: Palette = $state('hues');
  /** Changes when the colours in force change; canvases draw again. */
  appearance = $state(0);

  constructor() {
    const stored = readStore<Record<string, unknown>>('preferences', {});
    if (THEMES.includes(stored?.['theme'] as Theme)) this.theme = stored['theme'] as Theme;
    if (stored?.['palette'] === 'safe') this.palette = 'safe';
    this.#apply();
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.appearance++);
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

  #apply(): void {
    const root = document.documentElement;
    if (this.theme === 'system') delete root.dataset['theme'];
    else root.dataset['theme'] = this.theme;
    this.appearance++;
  }

  #keep(): void {
    writeStore('preferences', { theme: this.theme, palette: this.palette });
  }
}

export const preferences = new Preferences();
