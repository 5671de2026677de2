/** Products with weights by TensorFlow.js, on its WebAssembly backend. */

import '@tensorflow/tfjs-core/dist/base_side_effects';
import { engine, env, ready, registerKernel, setBackend, type Tensor } from '@tensorflow/tfjs-core';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm/dist/base';
import { batchMatMulConfig } from '@tensorflow/tfjs-backend-wasm/dist/kernels/BatchMatMul';
import { conv2DConfig } from '@tensorflow/tfjs-backend-wasm/dist/kernels/Conv2D';
import { conv2DBackpropInputConfig } from '@tensorflow/tfjs-backend-wasm/dist/kernels/Conv2DBackpropInput';
import { size, type Products } from './network';
import type { Operation } from './types';

export async function openProducts(
  wasm: Uint8Array<ArrayBuffer>,
  shapes: Record<string, number[]>,
): Promise<TensorFlowProducts> {
  const url = URL.createObjectURL(new Blob([wasm], { type: 'application/wasm' }));
  for (const config of [batchMatMulConfig, conv2DConfig, conv2DBackpropInputConfig])
    registerKernel(config);
  env().set('WASM_HAS_MULTITHREAD_SUPPORT', false); // pages from disk have no shared memory
  setWasmPaths({
    'tfjs-backend-wasm.wasm': url,
    'tfjs-backend-wasm-simd.wasm': url,
    'tfjs-backend-wasm-threaded-simd.wasm': url,
  });
  if (!(await setBackend('wasm'))) throw new Error('TensorFlow.js did not start');
  await ready();
  URL.revokeObjectURL(url);
  return new TensorFlowProducts(shapes);
}

export class TensorFlowProducts implements Products {
  /** Kernels as tensors, and turned round for the way back. */
  #kernels = new Map<Float32Array, { forward: Tensor; back?: Tensor }>();

  constructor(private readonly shapes: Record<string, number[]>) {}

  forward(operation: Operation, kernel: Float32Array, x: Float32Array, rows: number, from: Operation): Float32Array {
    const { forward } = this.#tensors(operation, kernel);
    if (operation.kind === 'dense')
      return run('BatchMatMul', { a: [x, [1, rows, size(from)]], b: forward }, multiplication(false));
    return run('Conv2D', { x: [x, [rows, ...from.shape]], filter: forward }, convolution(operation));
  }

  back(operation: Operation, kernel: Float32Array, g: Float32Array, rows: number, from: Operation): Float32Array {
    const tensors = this.#tensors(operation, kernel);
    if (operation.kind === 'dense')
      return run('BatchMatMul', { a: [g, [1, rows, size(operation)]], b: tensors.forward }, multiplication(true));
    const [height, width, inputs, outputs] = tensors.forward.shape as [number, number, number, number];
    const dy: [Float32Array, number[]] = [g, [rows, ...operation.shape]];
    if (operation.stride === 1 && operation.padding === 'same' && height % 2 && width % 2) {
      // The convolution with the kernel turned round is several times faster.
      tensors.back ??= engine().makeTensor(
        turned(kernel, height * width, inputs, outputs),
        [height, width, outputs, inputs],
        'float32',
      ) as Tensor;
      return run('Conv2D', { x: dy, filter: tensors.back }, convolution(operation));
    }
    return run('Conv2DBackpropInput', { dy, filter: tensors.forward }, {
      ...convolution(operation),
      inputShape: [rows, ...from.shape],
    });
  }

  /** Frees what is kept of a kernel. */
  forget(kernel: Float32Array): void {
    const tensors = this.#kernels.get(kernel);
    tensors?.forward.dispose();
    tensors?.back?.dispose();
    this.#kernels.delete(kernel);
  }

  #tensors(operation: Operation, kernel: Float32Array): { forward: Tensor; back?: Tensor } {
    let found = this.#kernels.get(kernel);
    if (!found) {
      const shape = this.shapes[operation.weights!]!;
      const whole = shape.length === 2 ? [1, ...shape] : shape;
      found = { forward: engine().makeTensor(kernel, whole, 'float32') as Tensor };
      this.#kernels.set(kernel, found);
    }
    return found;
  }
}

function convolution({ stride, padding }: Operation) {
  return { strides: stride, pad: padding, dataFormat: 'NHWC', dilations: 1 };
}

function multiplication(transposeB: boolean) {
  return { transposeA: false, transposeB };
}

type Input = Tensor | [Float32Array, number[]];

function run(kernel: string, inputs: Record<string, Input>, attributes: object): Float32Array {
  return engine().tidy(() => {
    const tensors = Object.entries(inputs).map(([name, input]) => [
      name,
      Array.isArray(input) ? engine().makeTensor(input[0], input[1], 'float32') : input,
    ]);
    const result = engine().runKernel(kernel, Object.fromEntries(tensors), attributes as never);
    return (result as Tensor).dataSync().slice() as Float32Array;
  });
}

/** Positions in reverse, inputs and outputs exchanged. */
function turned(kernel: Float32Array, positions: number, inputs: number, outputs: number): Float32Array {
  const back = new Float32Array(kernel.length);
  for (let p = 0; p < positions; p++)
    for (let i = 0; i < inputs; i++)
      for (let o = 0; o < outputs; o++)
        back[((positions - 1 - p) * outputs + o) * inputs + i] = kernel[(p * inputs + i) * outputs + o]!;
  return back;
}
