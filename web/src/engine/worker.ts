/** Computes a network in a thread of its own, so that the page stays quick. */

import { byChannel, pool, reduce, scaleFeatures } from './features';
import { Network, size } from './network';
import { openProducts, type TensorFlowProducts } from './products';
import type { Answer, Question, Setup } from './types';

const scope = self as unknown as {
  postMessage(message: Answer, transfer?: Transferable[]): void;
  onmessage: ((event: MessageEvent<Setup | Question>) => void) | null;
};

class Model {
  #network: Network;
  /** The kernels that were edited last, and how. */
  #edited = { how: '', kernels: new Map<number, Float32Array>() };

  constructor(
    private readonly setup: Setup,
    private readonly products: TensorFlowProducts,
  ) {
    this.#network = new Network(setup.meta, setup.weights, products);
  }

  answer({ id, picture, scales, attribution }: Question): void {
    const { meta } = this.setup;
    const began = performance.now();
    const edited = this.#edit(scales);
    const computed = this.#network.run(picture, edited);
    const value = computed.get(meta.value)![0]!;
    const logits = computed.get(meta.logits)!;
    scope.postMessage({ kind: 'outputs', id, value, logits, ms: performance.now() - began });
    if (!attribution) return;
    const { maps, nMaps, change } = this.#attribute(attribution, picture, computed, edited);
    const area = maps.length / nMaps;
    const totals = Float32Array.from({ length: nMaps }, (_, k) =>
      maps.subarray(k * area, (k + 1) * area).reduce((sum, v) => sum + v, 0),
    );
    const ms = performance.now() - began;
    scope.postMessage({ kind: 'attribution', id, maps, totals, change, ms }, [maps.buffer]);
  }

  #attribute(
    { layer, output, nSteps, pooled }: NonNullable<Question['attribution']>,
    picture: Uint8Array,
    computed: Map<number, Float32Array>,
    edited: Map<number, Float32Array>,
  ): { maps: Float32Array<ArrayBuffer>; nMaps: number; change: number | null } {
    const { meta, weights } = this.setup;
    const target = output === 'value' ? meta.value : meta.logits;
    const seed = new Float32Array(size(meta.operations[target]!));
    for (const i of output === 'value' ? [0] : output) seed[i] = 1;
    const shapeOf = (number: number) => meta.operations[number]!.shape as [number, number, number];
    if (layer === null) {
      const shape = shapeOf(0);
      const sums = pool(this.#network.gradient(picture, target, seed, edited), shape, pooled);
      return { maps: byChannel(sums, shape[2], pooled ** 2), nMaps: shape[2], change: null };
    }
    const { operation, cuts } = meta.layers[layer]!;
    const activation = computed.get(operation)!;
    const { multipliers, change } = this.#network.quotients(
      operation,
      activation,
      cuts[output === 'value' ? 'value' : 'policy'],
      target,
      seed,
      nSteps,
      edited,
    );
    // Positions that are shown together are summed before features explain them.
    const shape = shapeOf(operation);
    const values = multipliers.map((m, i) => m * activation[i]!);
    const directions = weights[`directions/${layer}`]!;
    const maps = reduce(pool(values, shape, pooled), directions, shape[2]);
    return { maps, nMaps: directions.length / shape[2] + 1, change };
  }

  #edit(scales: Question['scales']): Map<number, Float32Array> {
    const { meta, weights, shapes } = this.setup;
    const how = scales?.factors.some((f) => f !== 1) ? JSON.stringify(scales) : '';
    if (how === this.#edited.how) return this.#edited.kernels;
    for (const kernel of this.#edited.kernels.values()) this.products.forget(kernel);
    const kernels = new Map<number, Float32Array>();
    if (scales && how)
      for (const reader of meta.layers[scales.layer]!.readers) {
        const name = `directions/${scales.layer}`;
        const kernel = weights[meta.operations[reader]!.weights!]!;
        const outputs = meta.operations[reader]!.shape.at(-1)!;
        kernels.set(
          reader,
          scaleFeatures(kernel, outputs, weights[name]!, shapes[name]![1]!, scales.factors),
        );
      }
    this.#edited = { how, kernels };
    return kernels;
  }
}

let model: Model | undefined;

scope.onmessage = async ({ data }) => {
  try {
    if ('wasm' in data) {
      model = new Model(data, await openProducts(data.wasm, data.shapes));
      scope.postMessage({ kind: 'ready' });
    } else {
      model!.answer(data);
    }
  } catch (error) {
    const id = 'id' in data ? data.id : null;
    scope.postMessage({ kind: 'failed', id, message: String((error as Error)?.message ?? error) });
  }
};
