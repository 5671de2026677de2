/** One layer's attribution of one output: the value function, or a sum of actions' logits. */

import type { Cache } from './cache';
import type { Part } from './parts';
import { PartError, partFile } from './parts';
import { Segments } from './segments';
import type { LayerMeta } from './types';

/** The value function, or the sum of these actions' logits. */
export type Output = 'value' | readonly number[];

/** Quantized maps: the part that holds them, and which entry holds which frame. */
interface Codes {
  part: Part;
  segments: Segments;
}

export class Attribution {
  readonly height: number;
  readonly width: number;
  /** Maps of one frame: the features and, but for gradients, the residual last. */
  readonly nMaps: number;
  readonly nFeatures: number;

  private constructor(
    private readonly cache: Cache<Int8Array>,
    readonly meta: LayerMeta,
    /** One for each action of the sum; one for the value function. */
    private readonly codes: Codes[],
    private readonly frameScale: Float32Array,
    /** [S, maps], summed over the actions. */
    readonly totals: Float32Array,
    /** [S, 2]: sum of the full attribution, output minus baseline. */
    readonly completeness: Float32Array | null,
  ) {
    const shape = codes[0]!.segments.entries[0]!.shape as [number, number, number, number];
    [this.nMaps, , this.height, this.width] = shape;
    this.nFeatures = this.nMaps - (meta.kind === 'gradient' ? 0 : 1);
  }

  /** `holders`: the parts of the actions' maps; none for the value function. */
  static async open(
    part: Part,
    holders: Part[],
    output: Output,
    cache: Cache<Int8Array>,
  ): Promise<Attribution> {
    const meta = part.meta as LayerMeta;
    const open = (holder: Part, name: string): Codes => ({
      part: holder,
      segments: new Segments(holder.entries(name), 1),
    });
    const codes =
      output === 'value'
        ? [open(part, 'attribution')]
        : output.map((a, i) => open(holders[i]!, `attribution/${a}`));
    const frameScale = await part.array<Float32Array>('frame_scale', [codes[0]!.segments.length]);
    const totals = await summed(part, 'totals', output);
    const completeness = part.has('completeness')
      ? await summed(part, 'completeness', output)
      : null;
    return new Attribution(cache, meta, codes, frameScale, totals, completeness);
  }

  /** Memory of the parts behind it, as they came. */
  get bytes(): number {
    return this.codes.reduce((sum, { part }) => sum + part.bytes, 0);
  }

  /** Whether frame s can be read now. */
  ready(s: number): boolean {
    return this.codes.every((c) => this.cache.peek(this.#key(c, c.segments.find(s).segment)));
  }

  /** Decodes what frame s needs, so that it is there when its turn comes. */
  async load(s: number): Promise<void> {
    await Promise.all(
      this.codes.map((c) => {
        const { segment } = c.segments.find(s);
        const entry = c.segments.entries[segment]!;
        return this.cache.get(this.#key(c, segment), async () => {
          const numbers = await c.part.numbers(entry);
          if (numbers instanceof Int8Array) return numbers;
          throw new PartError(c.part.name, `${partFile(c.part.name)}: ${entry.name} is not i8`);
        });
      }),
    );
  }

  /**
   * The attribution of frame s, in the output's own units.
   *
   * `out`: [maps, height, width]. Returns false, leaving `out` as it is, while the
   * frame is not decoded.
   */
  read(s: number, out: Float32Array): boolean {
    if (!this.ready(s)) return false;
    const factor = this.frameScale[s]! / (this.meta.code_levels / 2);
    const area = this.height * this.width;
    this.codes.forEach((c, nth) => {
      const { segment, index } = c.segments.find(s);
      const codes = this.cache.peek(this.#key(c, segment))!;
      const frames = c.segments.entries[segment]!.shape[1]!;
      for (let map = 0; map < this.nMaps; map++) {
        const from = (map * frames + index) * area;
        const to = map * area;
        if (nth === 0) for (let p = 0; p < area; p++) out[to + p] = codes[from + p]! * factor;
        else for (let p = 0; p < area; p++) out[to + p]! += codes[from + p]! * factor;
      }
    });
    return true;
  }

  #key({ part, segments }: Codes, segment: number): string {
    return `${part.name}:${segments.entries[segment]!.name}`;
  }
}

/** An array [S, n] as it is for the value; for actions the sum over them of [A, S, n]. */
async function summed(part: Part, name: string, output: Output): Promise<Float32Array> {
  const all = await part.array<Float32Array>(name);
  if (output === 'value') return all;
  const [, frames, n] = part.entries(name)[0]!.shape as [number, number, number];
  const sum = new Float32Array(frames * n);
  for (const action of output)
    for (let i = 0; i < sum.length; i++) sum[i]! += all[action * frames * n + i]!;
  return sum;
}
