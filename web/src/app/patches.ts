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

/** Draws as much of an observation as `size` says, px, around the patch's centre into a box. */
export function drawPatch(
  context: Context,
  { sheet, index, y, x, weight }: Patch,
  size: { y: number; x: number },
  [left, top, width, height]: readonly [number, number, number, number],
): void {
  context.globalAlpha = weight;
  context.imageSmoothingEnabled = width < size.x;
  const [fromX, fromY] = [x - size.x / 2, y - size.y / 2];
  const [x0, y0] = [Math.max(fromX, 0), Math.max(fromY, 0)];
  const [x1, y1] = [Math.min(fromX + size.x, sheet.width), Math.min(fromY + size.y, sheet.height)];
  const zoom = { y: height / size.y, x: width / size.x };
  const [l, t] = [left + (x0 - fromX) * zoom.x, top + (y0 - fromY) * zoom.y];
  const [r, b] = [left + (x1 - fromX) * zoom.x, top + (y1 - fromY) * zoom.y];
  if (x1 - x0 < size.x || y1 - y0 < size.y) {
    context.fillStyle = patternsOf(context).checks;
    context.fillRect(left, top, width, t - top);
    context.fillRect(left, b, width, top + height - b);
    context.fillRect(left, t, l - left, b - t);
    context.fillRect(r, t, left + width - r, b - t);
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
