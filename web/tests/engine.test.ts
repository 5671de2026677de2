import { describe, expect, it } from 'vitest';
import { nonnegative, pool, reduce, scaleFeatures } from '../src/engine/features';
import { Network, type Products } from '../src/engine/network';
import type { NetworkMeta, Operation } from '../src/engine/types';

/** Matrix products alone, the obvious way. */
const PRODUCTS: Products = {
  forward({ shape }, kernel, x, rows) {
    const [n, m] = [shape[0]!, x.length / rows];
    return Float32Array.from({ length: rows * n }, (_, at) => {
      const [row, o] = [Math.floor(at / n), at % n];
      let sum = 0;
      for (let i = 0; i < m; i++) sum += x[row * m + i]! * kernel[i * n + o]!;
      return sum;
    });
  },
  back({ shape }, kernel, g, rows) {
    const n = shape[0]!;
    const m = kernel.length / n;
    return Float32Array.from({ length: rows * m }, (_, at) => {
      const [row, i] = [Math.floor(at / m), at % m];
      let sum = 0;
      for (let o = 0; o < n; o++) sum += g[row * n + o]! * kernel[i * n + o]!;
      return sum;
    });
  },
};

const random = (() => {
  let state = 1;
  return () => {
    state = (state * 48271) % 2147483647;
    return (2 * state) / 2147483647 - 1;
  };
})();
const randoms = (n: number) => Float32Array.from({ length: n }, random);

/** Two rows of pooling of each kind, a residual sum and two dense layers. */
function network() {
  const pooling = { size: 3, stride: 2, margins: [0, 0] as [number, number] };
  const operations: Operation[] = [
    { kind: 'input', inputs: [], shape: [4, 4, 2] },
    { kind: 'scale', by: 2, inputs: [0], shape: [4, 4, 2] },
    { kind: 'bias', weights: 'a', inputs: [1], shape: [4, 4, 2] },
    { kind: 'relu', inputs: [2], shape: [4, 4, 2] },
    { kind: 'max_pool', ...pooling, inputs: [3], shape: [2, 2, 2] },
    { kind: 'add', inputs: [4, 4], shape: [2, 2, 2] },
    { kind: 'square', inputs: [5], shape: [2, 2, 2] },
    { kind: 'mean_pool', ...pooling, size: 2, inputs: [6], shape: [1, 1, 2] },
    { kind: 'sqrt', inputs: [7], shape: [1, 1, 2] },
    { kind: 'dense', weights: 'b', inputs: [8], shape: [3] },
    { kind: 'bias', weights: 'c', inputs: [9], shape: [3] },
    { kind: 'relu', inputs: [10], shape: [3] },
    { kind: 'dense', weights: 'd', inputs: [11], shape: [1] },
  ];
  const meta: NetworkMeta = { operations, logits: 10, value: 12, layers: {} };
  const weights = { a: randoms(2), b: randoms(6), c: Float32Array.of(-0.1, 0.2, 0.3), d: randoms(3) };
  return new Network(meta, weights, PRODUCTS);
}

describe('network', () => {
  it.each([
    [1, []],
    [4, [{ operations: [2], factor: null }]],
    [
      3,
      [
        { operations: [4], factor: null },
        { operations: [10], factor: 2 },
      ],
    ],
  ])('attributes the whole change of the output in %i steps', (steps, cuts) => {
    const model = network();
    const picture = Uint8Array.from({ length: 32 }, () => 255 * Math.abs(random()));
    const activation = model.run(picture, new Map()).get(0)!;
    const seed = Float32Array.of(1);
    const { multipliers, change } = model.quotients(0, activation, cuts, 12, seed, steps, new Map());
    const value = (x: number) =>
      model.run(picture.map((v) => v * x), new Map()).get(12)![0]!;
    expect(change).toBeCloseTo(value(1) - value(0), 5);
    const sum = multipliers.reduce((total, m, i) => total + m * activation[i]!, 0);
    expect(sum).toBeCloseTo(change, 5);
    expect(Math.abs(change)).toBeGreaterThan(1e-3);
  });

  it('has gradients as finite differences are', () => {
    const model = network();
    const picture = Uint8Array.from({ length: 32 }, (_, i) => 40 + 5 * i);
    const gradient = model.gradient(picture, 12, Float32Array.of(1), new Map());
    const value = (of: Uint8Array) => model.run(of, new Map()).get(12)![0]!;
    for (let i = 0; i < 32; i++) {
      const [more, less] = [picture.slice(), picture.slice()];
      [more[i], less[i]] = [more[i]! + 1, less[i]! - 1];
      const difference = ((value(more) - value(less)) * 255) / 2;
      expect(Math.abs(gradient[i]! - difference)).toBeLessThan(0.02 * Math.abs(difference) + 2e-3);
    }
    expect(Math.hypot(...gradient)).toBeGreaterThan(0.1);
  });

  it('takes other weights for its own where they are given', () => {
    const model = network();
    const picture = new Uint8Array(32).fill(200);
    const edited = new Map([[12, new Float32Array(3)]]);
    expect(model.run(picture, edited).get(12)![0]).toBe(0);
    expect(model.run(picture, new Map()).get(12)![0]).not.toBe(0);
  });
});

describe('features', () => {
  it('finds weights that no step improves', () => {
    const rows = [randoms(5).map(Math.abs), randoms(5).map(Math.abs), randoms(5).map(Math.abs)];
    const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, v, i) => sum + v * b[i]!, 0);
    const gram = Float64Array.from(rows.flatMap((a) => rows.map((b) => dot(a, b))));
    const target = randoms(5);
    const products = Float64Array.from(rows.map((row) => dot(row, target)));
    const weights = nonnegative(gram, products);
    weights.forEach((w, i) => {
      const slope = products[i]! - rows.reduce((sum, _, j) => sum + gram[3 * i + j]! * weights[j]!, 0);
      expect(w).toBeGreaterThanOrEqual(0);
      if (w > 0) expect(slope).toBeCloseTo(0, 5);
      else expect(slope).toBeLessThan(1e-6);
    });
  });

  it('splits attribution without a rest', () => {
    const values = randoms(3 * 4);
    const directions = randoms(2 * 4).map(Math.abs);
    const maps = reduce(values, directions, 4);
    for (let p = 0; p < 3; p++) {
      const whole = values.subarray(4 * p, 4 * p + 4).reduce((sum, v) => sum + v, 0);
      expect(maps[p]! + maps[3 + p]! + maps[6 + p]!).toBeCloseTo(whole, 5);
    }
  });

  it('sums neighbours, and what is left at the edge', () => {
    const nine = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9);
    expect([...pool(nine, [3, 3, 1], 2)]).toEqual([12, 9, 15, 9]);
    expect([...pool(nine.subarray(1), [2, 2, 2], 2)]).toEqual([20, 24]);
  });

  it('removes directions from a kernel, dependent ones once', () => {
    const kernel = randoms(2 * 3 * 2);
    const direction = [1, 2, 0.5];
    const directions = Float32Array.from([...direction, ...direction.map((v) => 3 * v), 0, 1, 0]);
    const edited = scaleFeatures(kernel, 2, directions, 3, [0, 0, 1]);
    for (const position of [0, 1])
      for (const o of [0, 1]) {
        const read = (c: number) => edited[(position * 3 + c) * 2 + o]!;
        expect(direction.reduce((sum, v, c) => sum + v * read(c), 0)).toBeCloseTo(0, 5);
      }
    const same = scaleFeatures(kernel, 2, directions, 3, [1, 1, 1]);
    kernel.forEach((v, i) => expect(same[i]).toBeCloseTo(v, 6));
    const doubled = scaleFeatures(kernel, 2, directions, 3, [2, 1, 1]);
    const along = (k: Float32Array) => direction.reduce((sum, v, c) => sum + v * k[2 * c]!, 0);
    expect(along(doubled)).toBeCloseTo(2 * along(kernel), 4);
  });
});
