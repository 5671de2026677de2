/** Observations, decoded sheet by sheet when they are first shown. */

import { picturesOf, type Sheet } from './arrays';
import type { Cache } from './cache';
import type { Part } from './parts';
import { Segments } from './segments';

export interface Shown {
  sheet: Sheet;
  /** Index within the sheet. */
  index: number;
}

/** Which frame of a stack: how many before its last, or what changed between the last two. */
export type StackFrame = number | 'difference';

export class Pictures {
  readonly height: number;
  readonly width: number;
  readonly count: number;
  readonly channels: number;
  /** Frames in each observation's stack. */
  readonly stack: number;
  #segments: Segments;
  #scratch: OffscreenCanvasRenderingContext2D | null = null;

  constructor(
    private readonly part: Part,
    name: string,
    private readonly cache: Cache<Sheet>,
  ) {
    const entries = part.entries(name);
    const [, height, width, channels] = entries[0]!.shape as [number, number, number, number];
    [this.height, this.width, this.channels] = [height, width, channels];
    this.stack = picturesOf(channels);
    this.#segments = new Segments(entries, 0);
    this.count = this.#segments.length;
  }

  /** The sheet that holds observation i, if it is decoded; `back`: frames before its last. */
  peek(i: number, back = 0): Shown | undefined {
    const { segment, index } = this.#segments.find(i);
    const sheet = this.cache.peek(this.#key(segment));
    return sheet && { sheet, index: this.#within(index, back) };
  }

  async load(i: number, back = 0): Promise<Shown> {
    const { segment, index } = this.#segments.find(i);
    const sheet = await this.cache.get(this.#key(segment), () =>
      this.part.pictures(this.#segments.entries[segment]!),
    );
    return { sheet, index: this.#within(index, back) };
  }

  /** RGBA of one observation; undefined while its sheet is not decoded. */
  pixels(i: number, frame: StackFrame = 0): Uint8ClampedArray | undefined {
    if (frame !== 'difference') return this.#read(i, frame);
    const last = this.#read(i, 0);
    const before = this.#read(i, 1);
    if (!last || !before) return undefined;
    for (let p = 0; p < last.length; p++)
      if (p % 4 !== 3) last[p] = 128 + (last[p]! - before[p]!) / 2;
    return last;
  }

  #read(i: number, back: number): Uint8ClampedArray | undefined {
    const shown = this.peek(i, back);
    if (!shown) return undefined;
    this.#scratch ??= new OffscreenCanvas(this.width, this.height).getContext('2d', {
      willReadFrequently: true,
    })!;
    drawPicture(this.#scratch, shown, 0, 0, this.width, this.height);
    return this.#scratch.getImageData(0, 0, this.width, this.height).data;
  }

  #within(index: number, back: number): number {
    return index * this.stack + Math.max(0, this.stack - 1 - back);
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
