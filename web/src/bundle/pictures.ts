/** Observations, decoded sheet by sheet when they are first shown. */

import type { Cache } from './cache';
import type { Sheet } from './arrays';
import type { Part } from './parts';
import { Segments } from './segments';

export interface Shown {
  sheet: Sheet;
  /** Index within the sheet. */
  index: number;
}

export class Pictures {
  readonly height: number;
  readonly width: number;
  readonly count: number;
  #segments: Segments;
  #scratch: OffscreenCanvasRenderingContext2D | null = null;

  constructor(
    private readonly part: Part,
    name: string,
    private readonly cache: Cache<Sheet>,
  ) {
    const entries = part.entries(name);
    [, this.height, this.width] = entries[0]!.shape as [number, number, number];
    this.#segments = new Segments(entries, 0);
    this.count = this.#segments.length;
  }

  /** The sheet that holds a picture, if it is decoded. */
  peek(i: number): Shown | undefined {
    const { segment, index } = this.#segments.find(i);
    const sheet = this.cache.peek(this.#key(segment));
    return sheet && { sheet, index };
  }

  async load(i: number): Promise<Shown> {
    const { segment, index } = this.#segments.find(i);
    const sheet = await this.cache.get(this.#key(segment), () =>
      this.part.pictures(this.#segments.entries[segment]!),
    );
    return { sheet, index };
  }

  /** All sheets that hold the pictures from `start` to `end` (exclusive). */
  async loadRange(start: number, end: number): Promise<void> {
    const first = this.#segments.find(start).segment;
    const last = this.#segments.find(Math.max(start, end - 1)).segment;
    for (let s = first; s <= last; s++) await this.load(this.#segments.starts[s]!);
  }

  /** RGBA of one picture; undefined while its sheet is not decoded. */
  pixels(i: number): Uint8ClampedArray | undefined {
    const shown = this.peek(i);
    if (!shown) return undefined;
    this.#scratch ??= new OffscreenCanvas(this.width, this.height).getContext('2d', {
      willReadFrequently: true,
    })!;
    drawPicture(this.#scratch, shown, 0, 0, this.width, this.height);
    return this.#scratch.getImageData(0, 0, this.width, this.height).data;
  }

  #key(segment: number): string {
    return `${this.part.name}:${this.#segments.entries[segment]!.name}`;
  }
}

type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

export function drawPicture(
  context: Context,
  { sheet, index }: Shown,
  x: number,
  y: number,
  width: number,
  height: number,
): void {
  const left = (index % sheet.columns) * sheet.width;
  const top = Math.floor(index / sheet.columns) * sheet.height;
  context.drawImage(sheet.bitmap, left, top, sheet.width, sheet.height, x, y, width, height);
}
