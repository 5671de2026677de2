/** What one picture of attribution is made of, for the page and for what it exports. */

import type { Rgb } from '../arithmetic/colours';
import { largest, type Renderer, type Sign } from '../arithmetic/rendering';
import type { Disc } from '../arithmetic/smoothing';
import type { Attribution } from '../bundle/attribution';
import { drawCells, drawTexture, type Texture } from './textures';

type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;
type Box = readonly [number, number, number, number];

export interface Look {
  /** By map; the residual's is not used. */
  colours: readonly Rgb[];
  /** The map shown alone; null: all. */
  isolated: number | null;
  residual: boolean;
  /** What attributions are multiplied by. */
  strength: number;
  /** Attributions below this part of the frame's largest are left out. */
  strongest: number;
  filter: Disc;
}

export interface Shaded {
  /** Not premultiplied, by cell. */
  light: Uint8ClampedArray<ArrayBuffer>;
  textures: [Texture, Uint8ClampedArray<ArrayBuffer>][];
}

/** The light of features, and over it where the residual and (of both signs) losses lie. */
export function shade(
  renderer: Renderer,
  source: Attribution,
  maps: Float32Array,
  sign: Sign,
  look: Look,
): Shaded {
  const { nMaps, nFeatures, meta } = source;
  const hasResidual = meta.kind === 'attribution';
  const shown = Array.from({ length: nMaps }, (_, map) => {
    if (look.isolated !== null) return map === look.isolated;
    return map < nFeatures || look.residual;
  });
  const least = look.strongest
    ? look.strongest * largest(maps, source.height * source.width, shown)
    : 0;
  const base = { scale: meta.scale / look.strength, filter: look.filter, least };
  const features = shown.map((is, map) =>
    is && !(hasResidual && map === nFeatures) ? look.colours[map]! : null,
  );
  const light = renderer.render(maps, { ...base, sign, colours: features }).slice();
  const textures: Shaded['textures'] = [];
  if (sign === 'both')
    textures.push([
      'stripes',
      renderer.render(maps, { ...base, sign: 'negative', colours: features }).slice(),
    ]);
  if (hasResidual && shown[nFeatures])
    textures.push(['hatch', renderer.opacity(maps, nFeatures, { ...base, sign }).slice()]);
  return { light: light as Uint8ClampedArray<ArrayBuffer>, textures };
}

export function drawTextures(context: Context, shaded: Shaded, cells: number, box: Box): void {
  for (const [texture, rgba] of shaded.textures) drawTexture(context, texture, rgba, cells, box);
}

/** Draws light in cells, and textures at the screen's resolution, each on its canvas. */
export function paint(
  shaded: Shaded,
  { height, width }: { height: number; width: number },
  cells: HTMLCanvasElement,
  over: HTMLCanvasElement,
  box: Box,
): void {
  resize(cells, width, height);
  cells.getContext('2d')!.putImageData(new ImageData(shaded.light, width, height), 0, 0);
  resize(over, box[2], box[3]);
  const context = over.getContext('2d')!;
  context.clearRect(0, 0, box[2], box[3]);
  drawTextures(context, shaded, width, box);
}

export function resize(canvas: HTMLCanvasElement, width: number, height: number): void {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
}

/** Puts RGBA on a canvas of its size. */
export function putPixels(
  canvas: HTMLCanvasElement,
  rgba: Uint8ClampedArray,
  { height, width }: { height: number; width: number },
): void {
  resize(canvas, width, height);
  const image = new ImageData(rgba as Uint8ClampedArray<ArrayBuffer>, width, height);
  canvas.getContext('2d')!.putImageData(image, 0, 0);
}

export function drawShaded(context: Context, shaded: Shaded, cells: number, box: Box): void {
  drawCells(context, shaded.light, cells, box);
  drawTextures(context, shaded, cells, box);
}
