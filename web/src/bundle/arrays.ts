/** Slices of a part's bytes to typed arrays and pictures. */

import type { ArrayEntry, Dtype } from './types';

export type Typed = Uint8Array | Int8Array | Uint16Array | Int16Array | Int32Array | Float32Array;

const CONSTRUCTORS = {
  u8: Uint8Array,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  i32: Int32Array,
  f32: Float32Array,
} satisfies Record<Dtype, unknown>;

export function size(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** Decompresses into a buffer of known size, so that memory stays at what is expected. */
export async function gunzip(
  bytes: Uint8Array<ArrayBuffer>,
  expected: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const out = new Uint8Array(expected);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  const reader = stream.getReader();
  let position = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (position + value.length > expected) {
      await reader.cancel();
      throw new Error(`more than the expected ${expected} bytes`);
    }
    out.set(value, position);
    position += value.length;
  }
  if (position !== expected) throw new Error(`${position} bytes where ${expected} were expected`);
  return out;
}

/** Decodes an entry of numbers. Hosts are little endian, as the format is. */
export async function decodeNumbers(
  entry: ArrayEntry,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Typed> {
  if (entry.dtype === 'i8' && (entry.codec === 'webp' || entry.codec === 'png'))
    return decodeMaps(entry, bytes);
  const Constructor = CONSTRUCTORS[entry.dtype];
  if (!Constructor) throw new Error(`unknown type ${JSON.stringify(entry.dtype)}`);
  const expected = size(entry.shape) * Constructor.BYTES_PER_ELEMENT;
  if (entry.codec !== 'none' && entry.codec !== 'gzip')
    throw new Error(`${entry.codec} holds pictures, not numbers`);
  const raw = entry.codec === 'gzip' ? await gunzip(bytes, expected) : bytes.slice();
  if (raw.length !== expected)
    throw new Error(`${raw.length} bytes do not fill shape ${JSON.stringify(entry.shape)}`);
  return new Constructor(raw.buffer);
}

/** Decodes maps i8 [M, N, H, W]: a sheet each, three frames to a picture. */
async function decodeMaps(
  entry: ArrayEntry,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Int8Array<ArrayBuffer>> {
  if (entry.shape.length !== 4)
    throw new Error(`maps are [M, N, H, W], not [${entry.shape.join(', ')}]`);
  const [nMaps, frames, height, width] = entry.shape as [number, number, number, number];
  const lengths = entry.sheets ?? [];
  if (lengths.length !== nMaps || lengths.reduce((sum, n) => sum + n, 0) !== bytes.length)
    throw new Error(`sheets of [${lengths.join(', ')}] bytes are not ${nMaps} maps`);
  const maps = new Int8Array(size(entry.shape));
  let end = 0;
  const files = lengths.map((length) => bytes.subarray(end, (end += length)));
  // All at once: browsers decode pictures on several threads.
  await Promise.all(
    files.map(async (file, map) => {
      const sheet = await decodeSheet(entry, file, Math.ceil(frames / 3), height, width);
      const { bitmap, columns } = sheet;
      const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d', {
        willReadFrequently: true,
      })!;
      context.drawImage(bitmap, 0, 0);
      const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
      bitmap.close();
      readMap(data, columns, [frames, height, width], maps, map * frames * height * width);
    }),
  );
  return maps;
}

/**
 * Copies the frames of one map, [N, H, W], from the colours of its sheet.
 *
 * `sheet`: RGBA of pictures, `columns` in a row; picture p holds frames 3 p, 3 p + 1 and
 * 3 p + 2 as red, green and blue, 128 added; `to`: where in `out` the map begins.
 */
export function readMap(
  sheet: Uint8ClampedArray,
  columns: number,
  [frames, height, width]: readonly [number, number, number],
  out: Int8Array,
  to: number,
): void {
  for (let frame = 0; frame < frames; frame++) {
    const picture = Math.floor(frame / 3);
    const top = Math.floor(picture / columns) * height;
    const left = (picture % columns) * width;
    for (let y = top; y < top + height; y++) {
      let from = (y * columns * width + left) * 4 + (frame % 3);
      for (let x = 0; x < width; x++, from += 4) out[to++] = sheet[from]! - 128;
    }
  }
}

/** N pictures of one size in a sheet, row-major. */
export interface Sheet {
  bitmap: ImageBitmap;
  n: number;
  height: number;
  width: number;
  columns: number;
}

async function decodeSheet(
  entry: ArrayEntry,
  bytes: Uint8Array<ArrayBuffer>,
  n: number,
  height: number,
  width: number,
): Promise<{ bitmap: ImageBitmap; columns: number }> {
  const columns = entry.columns ?? 1;
  const blob = new Blob([bytes], { type: `image/${entry.codec}` });
  const bitmap = await createImageBitmap(blob, {
    colorSpaceConversion: 'none',
    premultiplyAlpha: 'none',
  });
  if (bitmap.width !== columns * width || bitmap.height < Math.ceil(n / columns) * height)
    throw new Error(`a sheet of ${bitmap.width}x${bitmap.height} px cannot hold ${n} pictures`);
  return { bitmap, columns };
}

/** Pictures of an observation of C channels: its RGB frames, or a grey one for each channel. */
export function picturesOf(channels: number): number {
  return channels % 3 === 0 ? channels / 3 : channels;
}

/** Decodes an entry that holds observations, u8 [N, H, W, C], as `picturesOf(C)` pictures each. */
export async function decodePictures(
  entry: ArrayEntry,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Sheet> {
  const [count, height, width, channels] = entry.shape as [number, number, number, number];
  if (entry.dtype !== 'u8' || entry.shape.length !== 4 || !channels)
    throw new Error(`pictures are u8 [N, H, W, C], not ${entry.dtype} [${entry.shape.join(', ')}]`);
  const n = count * picturesOf(channels);
  if (entry.codec === 'webp' || entry.codec === 'png') {
    const { bitmap, columns } = await decodeSheet(entry, bytes, n, height, width);
    return { bitmap, n, height, width, columns };
  }
  if (channels !== 3) throw new Error(`${channels} channels need a codec of pictures`);
  const rgb = (await decodeNumbers(entry, bytes)) as Uint8Array;
  const columns = Math.max(1, Math.ceil(Math.sqrt((n * height) / width)));
  const rows = Math.max(1, Math.ceil(n / columns));
  const image = new ImageData(columns * width, rows * height);
  for (let i = 0; i < n; i++) {
    const left = (i % columns) * width;
    const top = Math.floor(i / columns) * height;
    for (let y = 0; y < height; y++) {
      let from = (i * height + y) * width * 3;
      let to = ((top + y) * image.width + left) * 4;
      for (let x = 0; x < width; x++, from += 3, to += 4) {
        image.data[to] = rgb[from]!;
        image.data[to + 1] = rgb[from + 1]!;
        image.data[to + 2] = rgb[from + 2]!;
        image.data[to + 3] = 255;
      }
    }
  }
  return { bitmap: await createImageBitmap(image), n, height, width, columns };
}
