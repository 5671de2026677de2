/** Patches of observations, as legends and maps show them. */

import { percent } from '../arithmetic/numbers';
import type { Sheet } from '../bundle/arrays';
import type { FeatureMap, Legend } from '../bundle/legend';
import { drawPicture, type Pictures, type Shown } from '../bundle/pictures';
import type { Cell } from './grid';

interface Size {
  y: number;
  x: number;
}

interface Patch {
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
  size: Size,
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

/** A feature's map with the pictures it needs. */
export interface PatchMap extends FeatureMap {
  examples: Pictures;
  pictures: Map<number, Shown>;
  /** The largest response, or 1. */
  strongest: number;
}

export async function loadMap(
  legend: Legend,
  examples: Pictures,
  multiple: number,
  feature: number,
): Promise<PatchMap> {
  const map = await legend.map(multiple, feature);
  const pictures = new Map<number, Shown>();
  for (const i of new Set(map.index))
    if (i >= 0 && i < examples.count) pictures.set(i, await examples.load(i));
  const strongest = map.response?.reduce((most, r) => Math.max(most, r), 0) || 1;
  return { ...map, examples, pictures, strongest };
}

const READABLE = 36; // px of a patch that has room for its value

/** Draws a map's patches, of `size` px of their observations, and their responses. */
export function drawMap(canvas: HTMLCanvasElement, map: PatchMap, size: Size, ratio: number): void {
  const context = canvas.getContext('2d')!;
  fillStripes(context, canvas.width, canvas.height);
  const { rows, columns } = map;
  const edge = (i: number) => Math.round((i * canvas.width) / columns);
  const edgeY = (i: number) => Math.round((i * canvas.height) / rows);
  for (let row = 0, i = 0; row < rows; row++)
    for (let column = 0; column < columns; column++, i++) {
      const picture = map.pictures.get(map.index[i]!);
      if (!picture || !map.weight[i]) continue;
      const patch = { ...picture, ...centreOf({ row, column }, map), weight: map.weight[i]! / 255 };
      const [left, top] = [edge(column), edgeY(row)];
      const box = [left, top, edge(column + 1) - left, edgeY(row + 1) - top] as const;
      drawPatch(context, patch, size, box);
      if (!map.response || box[2] < READABLE * ratio) continue;
      context.globalAlpha = 1;
      context.font = `${10 * ratio}px system-ui, sans-serif`;
      const text = percent(map.response[i]! / map.strongest);
      if (context.measureText(text).width > box[2] - 4 * ratio) continue;
      const at = [left + 3 * ratio, top + box[3] - 4 * ratio] as const;
      context.lineWidth = 2.5 * ratio;
      context.strokeStyle = '#000';
      context.strokeText(text, ...at);
      context.fillStyle = '#fff';
      context.fillText(text, ...at);
    }
  context.globalAlpha = 1;
}

/** The middle of a map's cell, in pixels of the observation. */
function centreOf({ row, column }: Cell, { rows, columns, examples }: PatchMap): Size {
  return {
    y: ((row + 0.5) * examples.height) / rows,
    x: ((column + 0.5) * examples.width) / columns,
  };
}

/** Draws the whole observation of a map's cell, its patch outlined. */
export function drawWhole(
  canvas: HTMLCanvasElement,
  map: PatchMap,
  cell: Cell,
  picture: Shown,
  size: Size,
): void {
  const scale = 4;
  canvas.width = map.examples.width * scale;
  canvas.height = map.examples.height * scale;
  const context = canvas.getContext('2d')!;
  context.imageSmoothingEnabled = false;
  drawPicture(context, picture, 0, 0, canvas.width, canvas.height);
  const { y, x } = centreOf(cell, map);
  for (const [style, thickness] of [
    ['#000', 4],
    ['#fff', 2],
  ] as const) {
    context.strokeStyle = style;
    context.lineWidth = thickness;
    context.strokeRect(
      (x - size.x / 2) * scale,
      (y - size.y / 2) * scale,
      size.x * scale,
      size.y * scale,
    );
  }
}
