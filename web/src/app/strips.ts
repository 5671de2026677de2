/** Each trajectory as one strip: its observations side by side, squeezed. */

import type { Bundle } from '../bundle/bundle';
import { drawPicture } from '../bundle/pictures';

export interface Strip {
  canvas: OffscreenCanvas;
  /** Pixels of the strip for one frame. */
  step: number;
}

const STEP = 4;
const WIDEST = 16_000;
const strips = new WeakMap<Bundle, Map<number, Promise<Strip>>>();

export function strip(bundle: Bundle, trajectory: number): Promise<Strip> {
  let made = strips.get(bundle);
  if (!made) strips.set(bundle, (made = new Map()));
  let found = made.get(trajectory);
  if (!found) {
    found = draw(bundle, trajectory);
    made.set(trajectory, found);
    found.catch(() => made.delete(trajectory));
  }
  return found;
}

async function draw(bundle: Bundle, trajectory: number): Promise<Strip> {
  const frames = await bundle.frames();
  const start = bundle.starts[trajectory]!;
  const end = bundle.starts[trajectory + 1]!;
  const step = Math.max(1, Math.min(STEP, Math.floor(WIDEST / (end - start))));
  const canvas = new OffscreenCanvas((end - start) * step, frames.height);
  const context = canvas.getContext('2d')!;
  context.imageSmoothingQuality = 'medium';
  for (let s = start; s < end; s++)
    drawPicture(context, await frames.load(s), (s - start) * step, 0, step, frames.height);
  return { canvas, step };
}
