/** What one picture of attribution is made of, for the page and for what it exports. */

import type { Rgb } from '../arithmetic/colours';
import { largest, toGreyscale, type Renderer, type Sign } from '../arithmetic/rendering';
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

/** RGBA of a picture. */
export interface Pixels {
  rgba: Uint8ClampedArray;
  height: number;
  width: number;
}

export interface Shaded {
  height: number;
  width: number;
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
  const { height, width } = source;
  return { height, width, light: light as Uint8ClampedArray<ArrayBuffer>, textures };
}

function drawTextures(context: Context, { textures, width }: Shaded, box: Box): void {
  for (const [texture, rgba] of textures) drawTexture(context, texture, rgba, width, box);
}

/** Draws light in cells, and textures at the screen's resolution, each on its canvas. */
export function paint(
  shaded: Shaded,
  cells: HTMLCanvasElement,
  over: HTMLCanvasElement,
  box: Box,
): void {
  putPixels(cells, { ...shaded, rgba: shaded.light });
  resize(over, box[2], box[3]);
  const context = over.getContext('2d')!;
  context.clearRect(0, 0, box[2], box[3]);
  drawTextures(context, shaded, box);
}

function resize(canvas: HTMLCanvasElement, width: number, height: number): void {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
}

/** A copy in grey, to lie beneath attribution. */
export function greyed(pixels: Pixels): Pixels {
  const rgba = pixels.rgba.slice();
  toGreyscale(rgba);
  return { ...pixels, rgba };
}

/** Puts RGBA on a canvas of its size. */
export function putPixels(canvas: HTMLCanvasElement, { rgba, height, width }: Pixels): void {
  resize(canvas, width, height);
  const image = new ImageData(rgba as Uint8ClampedArray<ArrayBuffer>, width, height);
  canvas.getContext('2d')!.putImageData(image, 0, 0);
}

export function drawShaded(context: Context, shaded: Shaded, box: Box): void {
  drawCells(context, shaded.light, shaded.width, box);
  drawTextures(context, shaded, box);
}
