/** Changes of an observation's pixels: u8 [H, W, C], all channels alike. */

export interface Picture {
  height: number;
  width: number;
  channels: number;
  data: Uint8Array;
}

/** In pixels; may reach beyond the picture. */
export interface Box {
  top: number;
  left: number;
  height: number;
  width: number;
}

const SWEEPS = 400;
const STILL = 0.05; // grey levels

function copy(picture: Picture): Picture {
  return { ...picture, data: picture.data.slice() };
}

function within(picture: Picture, y: number, x: number): boolean {
  return y >= 0 && x >= 0 && y < picture.height && x < picture.width;
}

/** The pixels whose centre lies in a brush of a diameter around a pixel. */
export function brush(picture: Picture, y: number, x: number, diameter: number): number[] {
  const found: number[] = [];
  const reach = Math.floor(diameter / 2);
  for (let v = y - reach; v <= y + reach; v++)
    for (let u = x - reach; u <= x + reach; u++)
      if (within(picture, v, u) && Math.hypot(v - y, u - x) <= diameter / 2)
        found.push(v * picture.width + u);
  return found;
}

export function pixelsOf(picture: Picture, box: Box): number[] {
  const found: number[] = [];
  for (let y = box.top; y < box.top + box.height; y++)
    for (let x = box.left; x < box.left + box.width; x++)
      if (within(picture, y, x)) found.push(y * picture.width + x);
  return found;
}

/**
 * Fills pixels smoothly from what lies around them, so that an object vanishes into its
 * background: each becomes the mean of its neighbours (Laplace's equation).
 */
export function erase(picture: Picture, pixels: Iterable<number>): Picture {
  const { height, width, channels } = picture;
  const mask = new Set(pixels);
  const result = copy(picture);
  if (!mask.size || mask.size === height * width) return result;
  const values = Float32Array.from(picture.data);
  const neighbours = new Map<number, number[]>();
  const around = new Set<number>();
  for (const p of mask) {
    const [y, x] = [Math.floor(p / width), p % width];
    const near = [
      [y - 1, x],
      [y + 1, x],
      [y, x - 1],
      [y, x + 1],
    ]
      .filter(([v, u]) => within(picture, v!, u!))
      .map(([v, u]) => v! * width + u!);
    neighbours.set(p, near);
    for (const q of near) if (!mask.has(q)) around.add(q);
  }
  // From the mean of the edge, which is soon close.
  for (let c = 0; c < channels; c++) {
    let sum = 0;
    for (const p of around) sum += values[p * channels + c]!;
    for (const p of mask) values[p * channels + c] = sum / around.size;
  }
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    let moved = 0;
    for (const [p, near] of neighbours)
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (const q of near) sum += values[q * channels + c]!;
        const next = sum / near.length;
        moved = Math.max(moved, Math.abs(next - values[p * channels + c]!));
        values[p * channels + c] = next;
      }
    if (moved < STILL) break;
  }
  for (const p of mask)
    for (let c = 0; c < channels; c++) result.data[p * channels + c] = Math.round(values[p * channels + c]!);
  return result;
}

/** Fills pixels with a colour, which is repeated over a stack of frames. */
export function fill(picture: Picture, pixels: Iterable<number>, colour: readonly number[]): Picture {
  const result = copy(picture);
  const grey = Math.round(0.299 * colour[0]! + 0.587 * colour[1]! + 0.114 * colour[2]!);
  const { channels } = picture;
  for (const p of pixels)
    for (let c = 0; c < channels; c++)
      result.data[p * channels + c] = channels % 3 ? grey : colour[c % 3]!;
  return result;
}

/** What lies in a box, cut to the picture. */
export function cutOut(picture: Picture, box: Box): Picture {
  const top = Math.max(box.top, 0);
  const left = Math.max(box.left, 0);
  const height = Math.max(Math.min(box.top + box.height, picture.height) - top, 0);
  const width = Math.max(Math.min(box.left + box.width, picture.width) - left, 0);
  const { channels } = picture;
  const data = new Uint8Array(height * width * channels);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * picture.width + left) * channels;
    data.set(picture.data.subarray(from, from + width * channels), y * width * channels);
  }
  return { height, width, channels, data };
}

/** The picture with a patch over it; what reaches beyond the edge is lost. */
export function paste(picture: Picture, patch: Picture, top: number, left: number): Picture {
  const result = copy(picture);
  const { channels } = picture;
  for (let y = 0; y < patch.height; y++)
    for (let x = 0; x < patch.width; x++)
      if (within(picture, top + y, left + x))
        for (let c = 0; c < channels; c++)
          result.data[((top + y) * picture.width + left + x) * channels + c] =
            patch.data[(y * patch.width + x) * patch.channels + c]!;
  return result;
}

const MOST_BYTES = 6144; // 8,192 characters of an address; 2,000 pixels in colour

/**
 * What was changed, as text for an address: for each run of changed pixels how many
 * before it are as they were, its length, and its bytes. null: more than an address holds.
 */
export function encodeChanges(original: Picture, edited: Picture): string | null {
  const { channels } = original;
  const n = original.height * original.width;
  const differs = (p: number) => {
    for (let i = p * channels; i < (p + 1) * channels; i++)
      if (original.data[i] !== edited.data[i]) return true;
    return false;
  };
  const bytes: number[] = [];
  const pushNumber = (value: number) => {
    for (; value > 127; value >>= 7) bytes.push((value & 127) | 128);
    bytes.push(value);
  };
  for (let start = 0; ; ) {
    let first = start;
    while (first < n && !differs(first)) first++;
    if (first === n) break;
    let end = first + 1;
    while (end < n && differs(end)) end++;
    if (bytes.length + (end - first) * channels > MOST_BYTES) return null;
    pushNumber(first - start);
    pushNumber(end - first);
    bytes.push(...edited.data.subarray(first * channels, end * channels));
    start = end;
  }
  const base64 = btoa(String.fromCharCode(...bytes));
  return base64.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

/** The picture with changes that `encodeChanges` wrote; null: they are not of such a picture. */
export function applyChanges(original: Picture, text: string): Picture | null {
  let bytes: Uint8Array;
  try {
    const base64 = text.replaceAll('-', '+').replaceAll('_', '/');
    bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  } catch {
    return null;
  }
  let at = 0;
  const number = () => {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = bytes[at++] ?? 0;
      value |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    return value;
  };
  const edited = copy(original);
  let place = 0;
  while (at < bytes.length) {
    place += number() * original.channels;
    const length = number() * original.channels;
    if (!length || at + length > bytes.length || place + length > edited.data.length) return null;
    edited.data.set(bytes.subarray(at, at + length), place);
    at += length;
    place += length;
  }
  return edited;
}

/** RGBA of the last frame of an observation, for the screen. */
export function toRgba({ height, width, channels, data }: Picture): Uint8ClampedArray<ArrayBuffer> {
  const rgba = new Uint8ClampedArray(4 * height * width);
  const colour = channels % 3 === 0;
  for (let p = 0; p < height * width; p++) {
    for (let c = 0; c < 3; c++)
      rgba[4 * p + c] = data[(p + 1) * channels - (colour ? 3 - c : 1)]!;
    rgba[4 * p + 3] = 255;
  }
  return rgba;
}
