/** Patches of observations, as legends and maps show them. */

import type { Sheet } from '../bundle/arrays';

export interface Patch {
  sheet: Sheet;
  /** Picture in the sheet. */
  index: number;
  /** Centre in the observation, px from its top left. */
  y: number;
  x: number;
  /** Opacity, 0 to 1. */
  weight: number;
}

type Context = CanvasRenderingContext2D;

const patterns = new WeakMap<Context, { stripes: CanvasPattern; checks: CanvasPattern }>();

/** Stripes: nothing here. Checks: beyond the observation's edge. */
function patternsOf(context: Context) {
  let found = patterns.get(context);
  if (!found) {
    found = {
      stripes: context.createPattern(tile(8, (x, y) => ((x + y) % 8 < 4 ? 232 : 214)), 'repeat')!,
      checks: context.createPattern(
        tile(8, (x, y) => ((x < 4) === (y < 4) ? 255 : 190)),
        'repeat',
      )!,
    };
    patterns.set(context, found);
  }
  return found;
}

function tile(side: number, grey: (x: number, y: number) => number): OffscreenCanvas {
  const canvas = new OffscreenCanvas(side, side);
  const context = canvas.getContext('2d')!;
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) {
      const v = grey(x, y);
      context.fillStyle = `rgb(${v} ${v} ${v})`;
      context.fillRect(x, y, 1, 1);
    }
  return canvas;
}

export function fillStripes(context: Context, width: number, height: number): void {
  context.globalAlpha = 1;
  context.fillStyle = patternsOf(context).stripes;
  context.fillRect(0, 0, width, height);
}

/** Draws `size` px of an observation around the patch's centre into a square of side `side`. */
export function drawPatch(
  context: Context,
  { sheet, index, y, x, weight }: Patch,
  size: number,
  left: number,
  top: number,
  side: number,
): void {
  context.globalAlpha = weight;
  context.imageSmoothingEnabled = side < size;
  const [fromX, fromY] = [x - size / 2, y - size / 2];
  const [x0, y0] = [Math.max(fromX, 0), Math.max(fromY, 0)];
  const [x1, y1] = [Math.min(fromX + size, sheet.width), Math.min(fromY + size, sheet.height)];
  const zoom = side / size;
  const [l, t] = [left + (x0 - fromX) * zoom, top + (y0 - fromY) * zoom];
  const [r, b] = [left + (x1 - fromX) * zoom, top + (y1 - fromY) * zoom];
  if (x1 - x0 < size || y1 - y0 < size) {
    context.fillStyle = patternsOf(context).checks;
    context.fillRect(left, top, side, t - top);
    context.fillRect(left, b, side, top + side - b);
    context.fillRect(left, t, l - left, b - t);
    context.fillRect(r, t, left + side - r, b - t);
  }
  context.drawImage(
    sheet.bitmap,
    (index % sheet.columns) * sheet.width + x0,
    Math.floor(index / sheet.columns) * sheet.height + y0,
    x1 - x0,
    y1 - y0,
    l,
    t,
    r - l,
    b - t,
  );
}
