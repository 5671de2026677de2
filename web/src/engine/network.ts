/**
 * A network's outputs, and attributions of them to a layer.
 *
 * Attributions are mean difference quotients along the straight-line path from 0 to the
 * layer's activation, as `lucid_rl.model.line_quotients` computes them: over each segment
 * of the path every operation passes back (f(x) - f(x0)) / (x - x0), and later, cheaper
 * parts of the network are computed on finer segments, between interpolated values.
 */

import type { Cut, NetworkMeta, Operation, Weights } from './types';

/** Products with weights, which a library computes; rows are observations or points. */
export interface Products {
  forward(operation: Operation, kernel: Float32Array, x: Float32Array, rows: number, from: Operation): Float32Array;
  back(operation: Operation, kernel: Float32Array, g: Float32Array, rows: number, from: Operation): Float32Array;
}

/** Segment k of n ends at (k / n) ** EXPONENT. */
const EXPONENT = 1.5;

export function size({ shape }: Operation): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** Values of operations by number; row 0 of each is where the layer is 0. */
type Values = Map<number, Float32Array>;

interface Level {
  segments: number;
  sources: number[];
  values: Values;
  /** In order of computation. */
  computed: number[];
}

export class Network {
  constructor(
    readonly meta: NetworkMeta,
    private readonly weights: Weights,
    private readonly products: Products,
  ) {}

  /** The operation's weights, or those that take their place. */
  kernel(number: number, edited: Map<number, Float32Array>): Float32Array {
    return edited.get(number) ?? this.weights[this.meta.operations[number]!.weights!]!;
  }

  /** Every operation's value for one observation of bytes. */
  run(picture: Uint8Array, edited: Map<number, Float32Array>): Values {
    const values: Values = new Map([[0, Float32Array.from(picture, (v) => v / 255)]]);
    const { logits, value } = this.meta;
    this.#compute(values, 1, this.#between([0], [logits, value]), edited);
    return values;
  }

  /**
   * Multipliers of a layer's activation, of its size, and the output's change.
   *
   * @param layer the layer's operation.
   * @param activation of one observation.
   * @param target the output's operation.
   * @param seed weights of the output's elements.
   */
  quotients(
    layer: number,
    activation: Float32Array,
    cuts: Cut[],
    target: number,
    seed: Float32Array,
    nSteps: number,
    edited: Map<number, Float32Array>,
  ): { multipliers: Float32Array; change: number } {
    const alphas = Array.from({ length: nSteps }, (_, k) => ((k + 1) / nSteps) ** EXPONENT);
    const start = new Float32Array(2 * activation.length);
    start.set(activation, activation.length);
    const levels: Level[] = [];
    let values: Values = new Map([[layer, start]]);
    let segments = 1;
    for (let i = 0; i <= cuts.length; i++) {
      const sources = [...values.keys()];
      const ends = cuts[i]?.operations ?? [target];
      const computed = this.#between(sources, ends);
      this.#compute(values, segments + 1, computed, edited);
      levels.push({ segments, sources, values, computed });
      const cut = cuts[i];
      if (!cut) break;
      const fractions =
        cut.factor === null
          ? alphas
          : Array.from({ length: cut.factor }, (_, k) => (k + 1) / cut.factor!);
      const finer: Values = new Map();
      for (const end of cut.operations)
        finer.set(end, refine(values.get(end)!, segments, fractions));
      values = finer;
      segments *= fractions.length;
    }
    const last = values.get(target)!;
    const n = seed.length;
    let change = 0;
    for (let i = 0; i < n; i++) change += seed[i]! * (last[segments * n + i]! - last[i]!);
    const parts = segments / (levels.length > 1 ? levels[1]!.segments : 1);
    const seeds = new Float32Array(segments * n);
    for (let row = 0; row < segments; row++) {
      const k = Math.floor(row / parts);
      const length = levels.length > 1 ? (alphas[k]! - (k ? alphas[k - 1]! : 0)) / parts : 1;
      for (let i = 0; i < n; i++) seeds[row * n + i] = length * seed[i]!;
    }
    let gradients: Values = new Map([[target, seeds]]);
    for (let i = levels.length - 1; i >= 0; i--) {
      const level = levels[i]!;
      const found = this.#back(level, gradients, edited);
      if (i === 0) {
        const multipliers = found.get(layer) ?? new Float32Array(activation.length);
        return { multipliers, change };
      }
      const factor = level.segments / levels[i - 1]!.segments;
      gradients = new Map(
        [...found].map(([number, rows]) => [number, gather(rows, levels[i - 1]!.segments, factor)]),
      );
    }
    throw new Error('a network has at least one part');
  }

  /** Gradient of a weighted output with respect to the observation in [0, 1]. */
  gradient(
    picture: Uint8Array,
    target: number,
    seed: Float32Array,
    edited: Map<number, Float32Array>,
  ): Float32Array {
    // The difference quotient between an observation and itself.
    const both = new Float32Array(2 * picture.length);
    picture.forEach((v, i) => (both[i] = both[picture.length + i] = v / 255));
    const values: Values = new Map([[0, both]]);
    const computed = this.#between([0], [target]);
    this.#compute(values, 2, computed, edited);
    return this.#back({ segments: 1, sources: [0], values, computed }, new Map([[target, seed]]), edited).get(0)!;
  }

  /** The operations that lead from sources to ends, in order of computation. */
  #between(sources: number[], ends: number[]): number[] {
    const found = new Set<number>();
    const stack = ends.filter((end) => !sources.includes(end));
    while (stack.length) {
      const number = stack.pop()!;
      if (found.has(number)) continue;
      found.add(number);
      for (const input of this.meta.operations[number]!.inputs)
        if (!sources.includes(input)) stack.push(input);
    }
    return [...found].sort((a, b) => a - b);
  }

  #compute(values: Values, rows: number, numbers: number[], edited: Map<number, Float32Array>): void {
    const { operations } = this.meta;
    for (const number of numbers) {
      const operation = operations[number]!;
      const from = operations[operation.inputs[0]!]!;
      const x = values.get(operation.inputs[0]!)!;
      let y: Float32Array;
      switch (operation.kind) {
        case 'scale':
          y = each(x.length, (i) => x[i]! * operation.by!);
          break;
        case 'bias': {
          const bias = this.kernel(number, edited);
          const n = bias.length;
          y = x.slice();
          for (let i = 0; i < y.length; i += n) for (let c = 0; c < n; c++) y[i + c]! += bias[c]!;
          break;
        }
        case 'add': {
          const other = values.get(operation.inputs[1] ?? operation.inputs[0]!)!;
          y = each(x.length, (i) => x[i]! + other[i]!);
          break;
        }
        case 'relu':
          y = each(x.length, (i) => Math.max(x[i]!, 0));
          break;
        case 'square':
          y = each(x.length, (i) => x[i]! * x[i]!);
          break;
        case 'sqrt':
          y = each(x.length, (i) => Math.sqrt(x[i]!));
          break;
        case 'mean_pool':
          y = meanPool(operation, from, x, rows);
          break;
        case 'max_pool':
          y = maxPool(operation, from, x, rows).largest;
          break;
        case 'convolution':
        case 'dense':
          y = this.products.forward(operation, this.kernel(number, edited), x, rows, from);
          break;
        default:
          throw new Error(`the page does not know the operation ${operation.kind}`);
      }
      values.set(number, y);
    }
  }

  /** Passes gradients of a level's ends back to its sources; rows are segments. */
  #back(level: Level, gradients: Values, edited: Map<number, Float32Array>): Values {
    const { operations } = this.meta;
    const found: Values = new Map(gradients);
    const { values, segments } = level;
    const add = (number: number, g: Float32Array) => {
      const before = found.get(number);
      if (!before) found.set(number, g);
      else found.set(number, each(g.length, (i) => before[i]! + g[i]!));
    };
    for (const number of [...level.computed].reverse()) {
      const g = found.get(number);
      if (!g) continue;
      found.delete(number);
      const operation = operations[number]!;
      const input = operation.inputs[0]!;
      const from = operations[input]!;
      const [x, y] = [values.get(input)!, values.get(number)!];
      const n = x.length / (segments + 1);
      // Element i of a segment: its end in rows with the start is i + n, its start i.
      switch (operation.kind) {
        case 'scale':
          add(input, each(g.length, (i) => g[i]! * operation.by!));
          break;
        case 'bias':
          add(input, g);
          break;
        case 'add':
          add(input, g);
          add(operation.inputs[1] ?? input, g);
          break;
        case 'relu':
          // relu(x) + relu(x0) over |x| + |x0|.
          add(
            input,
            each(g.length, (i) => {
              const opened = y[i + n]! + y[i]!;
              const sizes = 2 * opened - (x[i + n]! + x[i]!);
              return sizes ? (g[i]! * opened) / sizes : 0;
            }),
          );
          break;
        case 'square':
          add(input, each(g.length, (i) => g[i]! * (x[i + n]! + x[i]!)));
          break;
        case 'sqrt':
          add(
            input,
            each(g.length, (i) => {
              const sum = y[i + n]! + y[i]!;
              return sum ? g[i]! / sum : 0;
            }),
          );
          break;
        case 'mean_pool':
          add(input, meanPoolBack(operation, from, g, segments));
          break;
        case 'max_pool':
          add(input, maxPoolBack(operation, from, g, x, segments));
          break;
        case 'convolution':
        case 'dense':
          add(input, this.products.back(operation, this.kernel(number, edited), g, segments, from));
          break;
        default:
          throw new Error(`the page does not know the operation ${operation.kind}`);
      }
    }
    return found;
  }
}

function each(n: number, value: (i: number) => number): Float32Array {
  const values = new Float32Array(n);
  for (let i = 0; i < n; i++) values[i] = value(i);
  return values;
}

/** Rows at fractions of each segment, behind the row at the start. */
function refine(rows: Float32Array, segments: number, fractions: number[]): Float32Array {
  const n = rows.length / (segments + 1);
  const finer = new Float32Array(n * (segments * fractions.length + 1));
  finer.set(rows.subarray(0, n));
  let row = 1;
  for (let segment = 0; segment < segments; segment++)
    for (const fraction of fractions) {
      const from = segment * n;
      for (let i = 0; i < n; i++) {
        const before = rows[from + i]!;
        finer[row * n + i] = before + fraction * (rows[from + n + i]! - before);
      }
      row++;
    }
  return finer;
}

/** Sums over the parts of each segment. */
function gather(rows: Float32Array, segments: number, factor: number): Float32Array {
  const n = rows.length / (segments * factor);
  const sums = new Float32Array(segments * n);
  for (let row = 0; row < segments * factor; row++) {
    const to = Math.floor(row / factor) * n;
    for (let i = 0; i < n; i++) sums[to + i]! += rows[row * n + i]!;
  }
  return sums;
}

/**
 * Calls `visit` for each position in each window, channels aside.
 *
 * @param visit told where the window's channels begin in the output and the position's in
 *   the input, and how many positions the window has.
 */
function windows(
  { shape, size: side, stride, margins }: Operation,
  from: Operation,
  rows: number,
  visit: (out: number, inside: number, count: number) => void,
): void {
  const [height, width, channels] = shape as [number, number, number];
  const [fromHeight, fromWidth] = from.shape as [number, number, number];
  for (let row = 0; row < rows; row++)
    for (let y = 0; y < height; y++) {
      const top = y * stride! - margins![0];
      const [first, end] = [Math.max(top, 0), Math.min(top + side!, fromHeight)];
      for (let x = 0; x < width; x++) {
        const left = x * stride! - margins![1];
        const [start, stop] = [Math.max(left, 0), Math.min(left + side!, fromWidth)];
        const out = ((row * height + y) * width + x) * channels;
        const count = (end - first) * (stop - start);
        for (let v = first; v < end; v++)
          for (let u = start; u < stop; u++)
            visit(out, ((row * fromHeight + v) * fromWidth + u) * channels, count);
      }
    }
}

function meanPool(operation: Operation, from: Operation, x: Float32Array, rows: number): Float32Array {
  const channels = operation.shape[2]!;
  const y = new Float32Array(rows * size(operation));
  windows(operation, from, rows, (out, inside, count) => {
    for (let c = 0; c < channels; c++) y[out + c]! += x[inside + c]! / count;
  });
  return y;
}

function meanPoolBack(operation: Operation, from: Operation, g: Float32Array, rows: number): Float32Array {
  const channels = operation.shape[2]!;
  const back = new Float32Array(rows * size(from));
  windows(operation, from, rows, (out, inside, count) => {
    for (let c = 0; c < channels; c++) back[inside + c]! += g[out + c]! / count;
  });
  return back;
}

function maxPool(operation: Operation, from: Operation, x: Float32Array, rows: number) {
  const channels = operation.shape[2]!;
  const largest = new Float32Array(rows * size(operation)).fill(-Infinity);
  const where = new Int32Array(largest.length);
  windows(operation, from, rows, (out, inside) => {
    for (let c = 0; c < channels; c++)
      if (x[inside + c]! > largest[out + c]!) {
        largest[out + c] = x[inside + c]!;
        where[out + c] = inside + c;
      }
  });
  return { largest, where };
}

/** Splits a pool's change between where its maximum is now and where it was. */
function maxPoolBack(
  operation: Operation,
  from: Operation,
  g: Float32Array,
  x: Float32Array,
  segments: number,
): Float32Array {
  const { largest, where } = maxPool(operation, from, x, segments + 1);
  const [n, m] = [size(from), size(operation)];
  const back = new Float32Array(segments * n);
  for (let i = 0; i < g.length; i++) {
    const [now, before] = [where[i + m]!, where[i]! + n]; // in rows of ends
    const [y, y0] = [largest[i + m]!, largest[i]!];
    const here = y - x[now - n]!;
    const there = x[before]! - y0;
    const share = here === there ? 0 : (y - y0 - there) / (here - there);
    back[now - n]! += g[i]! * share;
    back[before - n]! += g[i]! * (1 - share);
  }
  return back;
}
