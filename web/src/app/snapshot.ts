/** Moments as files: a PNG of one frame, a GIF of some. */

import { applyPalette, GIFEncoder, quantize } from 'gifenc';
import { cssColour, inkOn } from '../arithmetic/colours';
import { format, notation } from '../arithmetic/numbers';
import { Renderer, toGreyscale, type Sign } from '../arithmetic/rendering';
import { save } from './files';
import { drawShaded, shade } from './shading';
import { featureTitle, outputTitle } from './titles';
import type { View } from './view.svelte';

const GAP = 8;
const LINE = 18;
/** Frames of a GIF on either side of the one on view. */
export const AROUND = 12;

/** One frame as the page shows it: pictures of every row, and its features' totals. */
async function paint(view: View, s: number, side: number): Promise<OffscreenCanvas> {
  const frames = await view.bundle.frames();
  await frames.load(s);
  const height = Math.round((side * frames.height) / frames.width);
  const signs: Sign[] = view.combine ? ['both'] : ['positive', 'negative'];
  const width = GAP + (signs.length + 1) * (side + GAP);
  const perRow = LINE + height + 2 * LINE + GAP;
  const canvas = new OffscreenCanvas(width, GAP + LINE + view.rows.length * perRow);
  const context = canvas.getContext('2d', { willReadFrequently: true })!;
  context.fillStyle = '#16191d';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.textBaseline = 'middle';
  context.font = '12px system-ui, sans-serif';
  const write = (text: string, x: number, y: number, colour = '#e7e9ec') => {
    context.fillStyle = colour;
    context.fillText(text, x, y, width - x - GAP);
  };
  const frame = s - view.start + 1;
  write(
    `${view.bundle.meta.title} · trajectory ${view.trajectory + 1}, frame ${frame}`,
    GAP,
    GAP + LINE / 2,
  );
  let top = GAP + LINE;
  for (const row of view.rows) {
    const layer = view.layerOf(row);
    const source = await view.bundle.attribution(row.model, layer, row.output);
    await source.load(s);
    const maps = new Float32Array(source.nMaps * source.height * source.width);
    source.read(s, maps);
    const look = view.look(source, layer === view.layerId);
    const { colours } = look;
    write(
      `${outputTitle(view.bundle, row.output)} ${format(view.outputAt(row, s))}, layer ${layer}`,
      GAP,
      top + LINE / 2,
      '#a0a9b5',
    );
    signs.forEach((sign, nth) =>
      write(sign === 'both' ? 'positive, and negative striped' : sign,
        GAP + (nth + 1) * (side + GAP), top + LINE / 2, '#a0a9b5'),
    );
    top += LINE;
    const renderer = new Renderer(source.height, source.width);
    ([null, ...signs] as const).forEach((sign, nth) => {
      const pixels = frames.pixels(s, view.stack)!;
      if (sign && view.overlay) toGreyscale(pixels);
      if (sign && !view.overlay) pixels.fill(0);
      for (let p = 3; p < pixels.length; p += 4) pixels[p] = 255;
      const beneath = new OffscreenCanvas(frames.width, frames.height);
      const image = new ImageData(pixels as Uint8ClampedArray<ArrayBuffer>, frames.width);
      beneath.getContext('2d')!.putImageData(image, 0, 0);
      const left = GAP + nth * (side + GAP);
      context.imageSmoothingEnabled = false;
      context.drawImage(beneath, left, top, side, height);
      if (!sign) return;
      context.globalAlpha = view.overlay ? 0.9 : 1;
      drawShaded(context, shade(renderer, source, maps, sign, look), [left, top, side, height]);
      context.globalAlpha = 1;
    });
    top += height;
    const totals = source.totals.subarray(s * source.nMaps, (s + 1) * source.nMaps);
    const { write: number, unit } = notation(totals, { sign: true });
    const step = (width - 2 * GAP) / totals.length;
    totals.forEach((total, i) => {
      const x = GAP + i * step;
      context.fillStyle = cssColour(colours[i]!);
      context.fillRect(x, top + 3, step - 4, LINE - 4);
      const name = featureTitle(view, i, view.bundle.layer(row.model, layer)!);
      context.fillStyle = inkOn(colours[i]!);
      context.fillText(name, x + 3, top + LINE / 2 + 1, step - 10);
      context.fillStyle = '#e7e9ec';
      context.fillText(number(total) + (i ? '' : unit), x + 3, top + LINE * 1.5 + 1, step - 6);
    });
    top += 2 * LINE + GAP;
  }
  return canvas;
}

function fileName(view: View, extension: string): string {
  return `trajectory_${view.trajectory + 1}_frame_${view.frame + 1}_${view.layerId}.${extension}`;
}

export async function savePng(view: View): Promise<void> {
  const canvas = await paint(view, view.s, 256);
  save(await canvas.convertToBlob({ type: 'image/png' }), fileName(view, 'png'));
}

/** `onProgress`: part of the frames that is done, 0 to 1. */
export async function saveGif(view: View, onProgress: (part: number) => void): Promise<void> {
  const { s, start, length } = view;
  const [first, last] = [Math.max(start, s - AROUND), Math.min(start + length - 1, s + AROUND)];
  const gif = GIFEncoder();
  for (let frame = first; frame <= last; frame++) {
    const canvas = await paint(view, frame, 192);
    const { data, width, height } = canvas
      .getContext('2d')!
      .getImageData(0, 0, canvas.width, canvas.height);
    const palette = quantize(data, 256);
    const delay = 1000 / view.player.fps;
    gif.writeFrame(applyPalette(data, palette), width, height, { palette, delay });
    onProgress((frame - first + 1) / (last - first + 1));
    await new Promise((resolve) => setTimeout(resolve)); // the page stays alive
  }
  gif.finish();
  save(new Blob([gif.bytes()], { type: 'image/gif' }), fileName(view, 'gif'));
}
