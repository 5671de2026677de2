/** Computes a network in a thread of its own, so that the page stays quick. */

import { pool, reduce, scaleFeatures } from './features';
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
    const { meta, weights } = this.setup;
    const began = performance.now();
    const edited = this.#edit(scales);
    const computed = this.#network.run(picture, edited);
    const value = computed.get(meta.value)![0]!;
    const logits = computed.get(meta.logits)!;
    scope.postMessage({ kind: 'outputs', id, value, logits, ms: performance.now() - began });
    if (!attribution) return;
    const { output, nSteps, pooled } = attribution;
    const layer = meta.layers[attribution.layer]!;
    const activation = computed.get(layer.operation)!;
    const target = output === 'value' ? meta.value : meta.logits;
    const seed = new Float32Array(size(meta.operations[target]!));
    for (const i of output === 'value' ? [0] : output) seed[i] = 1;
    const cuts = layer.cuts[output === 'value' ? 'value' : 'policy'];
    const { multipliers, change } = this.#network.quotients(
      layer.operation,
      activation,
      cuts,
      target,
      seed,
      nSteps,
      edited,
    );
    const name = `directions/${attribution.layer}`;
    const shape = meta.operations[layer.operation]!.shape as [number, number, number];
    // Positions that are shown together are summed before features explain them.
    const values = pool(
      multipliers.map((m, i) => m * activation[i]!),
      shape,
      pooled,
    );
    const channels = shape[2];
    const maps = reduce(values, weights[name]!, channels);
    const area = values.length / channels;
    const totals = Float32Array.from({ length: maps.length / area }, (_, k) =>
      maps.subarray(k * area, (k + 1) * area).reduce((sum, v) => sum + v, 0),
    );
    const ms = performance.now() - began;
    scope.postMessage({ kind: 'attribution', id, maps, totals, change, ms }, [maps.buffer]);
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
