/** What the model would do with a changed observation, or with its features scaled. */

import {
  applyChanges,
  cutOut,
  encodeChanges,
  erase,
  fill,
  paste,
  pixelsOf,
  type Box,
  type Picture,
} from '../arithmetic/editing';
import type { Attribution } from '../bundle/attribution';
import type { Pictures } from '../bundle/pictures';
import type { LayerInfo } from '../bundle/types';
import { FACTORS, usualFactors, type WhatIfState } from './address';
import { LiveModel, type Found } from './live_model';
import type { View } from './view.svelte';

const MOST_UNDONE = 50;
export const TOO_MANY_CHANGES =
  'Too many pixels are changed for an address: a link to this moment leaves these changes out.';

export type Tool = 'brush' | 'select' | 'pixel';

/** A patch that can still be moved, and the picture without it. */
interface Floating {
  base: Picture;
  patch: Picture;
}

export class WhatIf {
  tool: Tool = $state('brush');
  /** Diameter of the brush, pixels. */
  brush = $state(5);
  colour = $state('#ffd040');
  selection: Box | null = $state(null);
  clipboard: Picture | null = $state.raw(null);
  original: Picture | null = $state.raw(null);
  edited: Picture | null = $state.raw(null);
  /** By feature of the layer on view. */
  factors: number[] = $state([]);
  before: Found | null = $state.raw(null);
  after: Found | null = $state.raw(null);
  computing = $state(false);
  error: Error | null = $state.raw(null);
  /** Changes that an address holds, until their frame is there. */
  #awaited: { s: number; edits: string } | null = $state.raw(null);
  /** What an address holds of the changes of the observation; null: they are too many. */
  #edits: string | null = $derived.by(() => {
    if (this.#awaited) return this.#awaited.edits;
    if (!this.original || !this.edited || !this.changedPicture) return '';
    return encodeChanges(this.original, this.edited);
  });
  /** The frame on view. */
  #s = -1;
  /** Whose features `factors` are of. */
  #layer = '';
  #floating: Floating | null = null;
  #undo: Picture[] = $state.raw([]);
  #asked = 0;
  /** The frame as it is, and how it was computed. */
  #before: { original: Picture; key: string; found: Promise<Found | null> } | null = null;
  #models = new Map<string, Promise<LiveModel>>();

  constructor(private readonly view: View) {}

  get modelId(): string {
    return this.view.rows[0]!.model;
  }

  get changedPicture(): boolean {
    return this.edited !== this.original;
  }

  get changed(): boolean {
    return this.changedPicture || this.factors.some((f) => f !== FACTORS.usual);
  }

  get canUndo(): boolean {
    return this.#undo.length > 0;
  }

  get state(): WhatIfState {
    return { factors: [...this.factors], edits: this.#edits ?? '' };
  }

  /** Whether an address cannot hold the changes of the observation. */
  get tooManyChanges(): boolean {
    return this.#edits === null;
  }

  /** Takes over what an address holds, of the frame and layer on view. */
  restore({ factors, edits }: WhatIfState): void {
    const row = this.view.rows[0]!;
    this.#layer = `${row.model}/${this.view.layerOf(row)}`;
    this.factors = factors;
    this.#awaited = { s: this.view.s, edits };
  }

  /** Another layer has other features, each at its own strength. */
  setLayer(modelId: string, layer: LayerInfo): void {
    const key = `${modelId}/${layer.id}`;
    if (this.#layer === key) return;
    this.#layer = key;
    this.factors = usualFactors(layer);
    this.after = null;
  }

  /** Shows a frame, as it is or with the changes that an address holds; false: it is not there yet. */
  show(pictures: Pictures, s: number): boolean {
    const awaited = this.#awaited;
    if (this.#s === s && !awaited) return true;
    const { height, width, stack, channels } = pictures;
    const data = new Uint8Array(height * width * channels);
    for (let back = 0; back < stack; back++) {
      const rgba = pictures.pixels(s, back);
      if (!rgba) return false;
      const frame = stack - 1 - back;
      const each = channels / stack;
      for (let p = 0; p < height * width; p++)
        for (let c = 0; c < each; c++) data[p * channels + frame * each + c] = rgba[4 * p + c]!;
    }
    this.original = { height, width, channels, data };
    this.edited = this.original;
    this.#s = s;
    this.#undo = [];
    this.#floating = null;
    this.#awaited = null;
    if (awaited?.s !== s || !awaited.edits) return true;
    const edited = applyChanges(this.original, awaited.edits);
    if (edited) this.change(edited);
    else this.view.notify('The address holds changes that this observation cannot take.');
    return true;
  }

  /** Keeps a change; `again` goes on with the last one. */
  change(picture: Picture, again = false): void {
    if (!again && this.edited) this.#undo = [...this.#undo.slice(1 - MOST_UNDONE), this.edited];
    this.edited = picture;
    this.#floating = null;
  }

  undo(): void {
    const before = this.#undo.at(-1);
    if (!before) return;
    this.#undo = this.#undo.slice(0, -1);
    this.edited = before;
    this.#floating = null;
  }

  reset(): void {
    this.edited = this.original;
    this.#undo = [];
    this.#floating = null;
    this.factors = this.factors.map(() => FACTORS.usual);
  }

  eraseSelection(): void {
    if (this.selection && this.edited)
      this.change(erase(this.edited, pixelsOf(this.edited, this.selection)));
  }

  fillSelection(): void {
    if (this.selection && this.edited)
      this.change(fill(this.edited, pixelsOf(this.edited, this.selection), rgbOf(this.colour)));
  }

  copySelection(): void {
    if (this.selection && this.edited) this.clipboard = cutOut(this.edited, this.selection);
  }

  /** Puts the copy where the selection is; it then can be moved. */
  paste(): void {
    if (!this.clipboard || !this.edited) return;
    const { height, width } = this.clipboard;
    const top = this.selection?.top ?? (this.edited.height - height) >> 1;
    const left = this.selection?.left ?? (this.edited.width - width) >> 1;
    const base = this.edited;
    this.change(paste(base, this.clipboard, top, left));
    this.#floating = { base, patch: this.clipboard };
    this.selection = { top, left, height, width };
    this.tool = 'select';
  }

  /** Moves what is selected; where it was, the background closes. */
  move(down: number, right: number): void {
    if (!this.selection || !this.edited) return;
    const box = this.selection;
    const floating = this.#floating ?? {
      base: erase(this.edited, pixelsOf(this.edited, box)),
      patch: cutOut(this.edited, box),
    };
    const top = Math.max(box.top, 0) + down;
    const left = Math.max(box.left, 0) + right;
    const { patch } = floating;
    this.change(paste(floating.base, patch, top, left), this.#floating !== null);
    this.#floating = floating;
    this.selection = { top, left, height: patch.height, width: patch.width };
  }

  select(box: Box | null): void {
    this.selection = box;
    this.#floating = null;
  }

  /** Computes what is on view; `source` tells how attributions are computed. */
  async compute(source: Attribution | null, pooled: number): Promise<void> {
    const { original, edited, view } = this;
    if (!original || !edited) return;
    const row = view.rows[0]!;
    const layer = view.layerOf(row);
    const factors = [...this.factors];
    const attribution = source && {
      layer: source.meta.kind === 'gradient' ? null : layer,
      output: row.output === 'value' ? ('value' as const) : [...row.output],
      nSteps: source.meta.quadrature?.n_nodes ?? 10,
      pooled,
    };
    const number = ++this.#asked;
    this.computing = true;
    try {
      const model = await this.#model(row.model);
      const key = JSON.stringify([row.model, attribution]);
      if (this.#before?.original !== original || this.#before.key !== key) {
        this.before = null;
        const found = model.ask('before', { picture: original.data, scales: null, attribution });
        this.#before = { original, key, found };
      }
      const before = this.#before;
      const scales = factors.some((f) => f !== FACTORS.usual) ? { layer, factors } : null;
      const asked = { picture: edited.data, scales, attribution };
      const now =
        scales || edited !== original
          ? model.ask('after', asked, (found) => {
              this.after = { outputs: found, attribution: this.after?.attribution ?? null };
            })
          : before.found;
      const [first, found] = await Promise.all([before.found, now]);
      if (number !== this.#asked || !first || !found) return;
      this.before = first;
      this.after = found;
      this.error = null;
    } catch (error) {
      if (number === this.#asked) this.error = error as Error;
    } finally {
      if (number === this.#asked) this.computing = false;
    }
  }

  #model(id: string): Promise<LiveModel> {
    let model = this.#models.get(id);
    if (!model) {
      model = LiveModel.open(this.view.bundle, id);
      this.#models.set(id, model);
      model.catch(() => this.#models.delete(id));
    }
    return model;
  }

  close(): void {
    for (const model of this.#models.values()) model.then((m) => m.close()).catch(() => {});
    this.#models.clear();
  }
}

export function rgbOf(hex: string): [number, number, number] {
  const n = parseInt(hex.slice(1), 16);
  return [n >> 16, (n >> 8) & 255, n & 255];
}
