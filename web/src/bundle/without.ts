/** The outputs of a model that lost one feature of a layer. */

import { PartError, partFile, type Part } from './parts';

export interface Without {
  /** [K, S]: the value function without each feature. */
  values: Float32Array;
  /** Logits of frame s without a feature. */
  logits: (feature: number, s: number) => Float32Array;
}

export async function openWithout(
  part: Part,
  nFeatures: number,
  frames: number,
  nActions: number,
): Promise<Without> {
  const { logit_scale: scale } = part.meta as { logit_scale?: unknown };
  if (typeof scale !== 'number')
    throw new PartError(part.name, `${partFile(part.name)} states no logit_scale.`);
  const values = await part.array<Float32Array>('values', [nFeatures, frames]);
  const codes = await part.array<Int16Array>('logits', [nFeatures, frames, nActions]);
  return {
    values,
    logits: (feature, s) => {
      const start = (feature * frames + s) * nActions;
      return Float32Array.from(codes.subarray(start, start + nActions), (code) => code * scale);
    },
  };
}
