/** Smoothing with a small disc, as the article smooths its attributions. */

export interface Disc {
  radius: number;
  /** Taps as (dy, dx, weight). */
  dy: Int8Array;
  dx: Int8Array;
  weight: Float32Array;
}

/** exp(−distance) within the radius, 1 at the centre; radius 7 gives the article's 15x15 filter. */
export function disc(radius: number): Disc {
  const taps: [number, number, number][] = [];
  for (let dy = -radius; dy <= radius; dy++)
    for (let dx = -radius; dx <= radius; dx++) {
      const distance = Math.hypot(dy, dx);
      if (distance <= radius) taps.push([dy, dx, Math.exp(-distance)]);
    }
  return {
    radius,
    dy: Int8Array.from(taps, (t) => t[0]),
    dx: Int8Array.from(taps, (t) => t[1]),
    weight: Float32Array.from(taps, (t) => t[2]),
  };
}

/**
 * Convolves [height, width, channels] with the disc; beyond the edge there is nothing.
 *
 * Rows without light are passed over: attribution is sparse.
 */
export function smooth(
  image: Float32Array,
  height: number,
  width: number,
  filter: Disc,
  out: Float32Array,
  channels = 3,
): void {
  out.fill(0);
  const stride = width * channels;
  const { dy, dx, weight } = filter;
  for (let y = 0; y < height; y++) {
    const row = y * stride;
    let first = row;
    const end = row + stride;
    while (first < end && image[first] === 0) first++;
    if (first === end) continue;
    let last = end - 1;
    while (image[last] === 0) last--;
    const left = Math.floor((first - row) / channels);
    const right = Math.floor((last - row) / channels);
    for (let tap = 0; tap < weight.length; tap++) {
      const toY = y + dy[tap]!;
      if (toY < 0 || toY >= height) continue;
      const shift = dx[tap]!;
      const from = Math.max(left, -shift);
      const to = Math.min(right, width - 1 - shift);
      const w = weight[tap]!;
      let target = toY * stride + (from + shift) * channels;
      for (let i = row + from * channels, stop = row + (to + 1) * channels; i < stop; i++, target++)
        out[target]! += w * image[i]!;
    }
  }
}
