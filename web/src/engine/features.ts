/** Attribution by feature, and kernels in which features are scaled. */

const ENOUGH = 1e-7; // of the largest weight
const MOST_SWEEPS = 2000;

/**
 * Splits a layer's attribution among features and a residual, as `NMF.reduce` does: at
 * each position, and for each sign, the non-negative weights that explain it best.
 *
 * @param values [positions, C].
 * @param directions [K, C], not negative.
 * @returns [K + 1, positions], the residual last.
 */
export function reduce(values: Float32Array, directions: Float32Array, channels: number): Float32Array<ArrayBuffer> {
  const k = directions.length / channels;
  const positions = values.length / channels;
  const gram = new Float64Array(k * k);
  const norms = new Float64Array(k);
  for (let i = 0; i < k; i++)
    for (let c = 0; c < channels; c++) {
      norms[i]! += directions[i * channels + c]!;
      for (let j = 0; j < k; j++)
        gram[i * k + j]! += directions[i * channels + c]! * directions[j * channels + c]!;
    }
  const maps = new Float32Array((k + 1) * positions);
  const products = new Float64Array(k);
  for (let position = 0; position < positions; position++) {
    const row = values.subarray(position * channels, (position + 1) * channels);
    let residual = row.reduce((sum, v) => sum + v, 0);
    for (const sign of [1, -1]) {
      products.fill(0);
      for (let i = 0; i < k; i++)
        for (let c = 0; c < channels; c++) {
          const part = sign * row[c]!;
          if (part > 0) products[i]! += directions[i * channels + c]! * part;
        }
      const weights = nonnegative(gram, products);
      for (let i = 0; i < k; i++) {
        const found = sign * weights[i]! * norms[i]!;
        maps[i * positions + position]! += found;
        residual -= found;
      }
    }
    maps[k * positions + position] = residual;
  }
  return maps;
}

/** The w >= 0 that minimises w G w / 2 - p w, by coordinate descent. */
export function nonnegative(gram: Float64Array, products: Float64Array): Float64Array {
  const k = products.length;
  const weights = new Float64Array(k);
  if (!products.some((p) => p > 0)) return weights;
  for (let sweep = 0; sweep < MOST_SWEEPS; sweep++) {
    let [moved, largest] = [0, 0];
    for (let i = 0; i < k; i++) {
      const own = gram[i * k + i]!;
      if (!own) continue;
      let slope = products[i]!;
      for (let j = 0; j < k; j++) slope -= gram[i * k + j]! * weights[j]!;
      const next = Math.max(0, weights[i]! + slope / own);
      moved = Math.max(moved, Math.abs(next - weights[i]!));
      largest = Math.max(largest, next);
      weights[i] = next;
    }
    if (moved <= ENOUGH * largest) break;
  }
  return weights;
}

/** Sums of `side` x `side` positions of [H, W, C]; zeros lie beyond the edges. */
export function pool(
  values: Float32Array,
  [height, width, channels]: readonly [number, number, number],
  side: number,
): Float32Array {
  if (side === 1) return values;
  const columns = Math.ceil(width / side);
  const sums = new Float32Array(Math.ceil(height / side) * columns * channels);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const to = (Math.floor(y / side) * columns + Math.floor(x / side)) * channels;
      for (let c = 0; c < channels; c++) sums[to + c]! += values[(y * width + x) * channels + c]!;
    }
  return sums;
}

/** Values [..., C], divided by a number, as [C, ...]. */
export function byChannel(values: Float32Array, channels: number, by: number): Float32Array<ArrayBuffer> {
  const n = values.length / channels;
  const maps = new Float32Array(values.length);
  for (let p = 0; p < n; p++)
    for (let c = 0; c < channels; c++) maps[c * n + p] = values[p * channels + c]! / by;
  return maps;
}

/**
 * A kernel that reads activations whose features are scaled (`lucid_rl.model.projection`
 * with strength 1 - factor): the components along the directions, found together by least
 * squares, are multiplied by the factors.
 *
 * @param kernel [..., C, outputs], or [positions * C, outputs] of a dense layer.
 * @param directions [K, C].
 * @param factors [K]; 1 changes nothing, 0 removes a feature.
 */
export function scaleFeatures(
  kernel: Float32Array,
  outputs: number,
  directions: Float32Array,
  channels: number,
  factors: number[],
): Float32Array {
  const used = factors.flatMap((factor, k) => {
    const row = Float64Array.from(directions.subarray(k * channels, (k + 1) * channels));
    const length = Math.hypot(...row);
    return factor !== 1 && length ? [{ factor, row: row.map((v) => v / length) }] : [];
  });
  const n = used.length;
  const gram = used.map(({ row }) => used.map((other) => dot(row, other.row)));
  const inverse = invert(gram);
  // out = kernel . M x with M = I + sum over i, j of (f_i - 1) d_i inverse_ij d_j.
  const matrix = new Float64Array(channels * channels);
  for (let c = 0; c < channels; c++) matrix[c * channels + c] = 1;
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      const by = (used[i]!.factor - 1) * inverse[i]![j]!;
      if (!by) continue;
      for (let a = 0; a < channels; a++)
        for (let b = 0; b < channels; b++)
          matrix[a * channels + b]! += by * used[i]!.row[a]! * used[j]!.row[b]!;
    }
  const edited = new Float32Array(kernel.length);
  const slice = new Float64Array(channels * outputs);
  for (let start = 0; start < kernel.length; start += channels * outputs) {
    slice.fill(0);
    for (let a = 0; a < channels; a++)
      for (let b = 0; b < channels; b++) {
        const by = matrix[a * channels + b]!;
        if (!by) continue;
        for (let o = 0; o < outputs; o++)
          slice[b * outputs + o]! += by * kernel[start + a * outputs + o]!;
      }
    edited.set(slice, start);
  }
  return edited;
}

function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, v, i) => sum + v * b[i]!, 0);
}

/** A generalized inverse of a symmetric matrix: what depends on the rest is left out. */
function invert(matrix: number[][]): number[][] {
  const n = matrix.length;
  const rows = matrix.map((row, i) => [...row, ...row.map((_, j) => Number(i === j))]);
  const pivots: number[] = [];
  for (let i = 0; i < n; i++) {
    if (rows[i]![i]! < 1e-9) continue;
    pivots.push(i);
    const by = rows[i]![i]!;
    rows[i] = rows[i]!.map((v) => v / by);
    for (let j = 0; j < n; j++) {
      if (j === i) continue;
      const factor = rows[j]![i]!;
      rows[j] = rows[j]!.map((v, c) => v - factor * rows[i]![c]!);
    }
  }
  const is = new Set(pivots);
  return rows.map((row, i) => row.slice(n).map((v, j) => (is.has(i) && is.has(j) ? v : 0)));
}
