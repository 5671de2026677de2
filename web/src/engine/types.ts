/** What the page and the program that computes models say to each other. */

export type Kind =
  | 'input'
  | 'scale'
  | 'bias'
  | 'add'
  | 'relu'
  | 'square'
  | 'sqrt'
  | 'mean_pool'
  | 'max_pool'
  | 'convolution'
  | 'dense';

/** docs/bundle_format.md, part "<model>/network". */
export interface Operation {
  kind: Kind;
  inputs: number[];
  /** Of one observation. */
  shape: number[];
  weights?: string;
  by?: number;
  size?: number;
  stride?: number;
  /** Rows and columns of windows before the first. */
  margins?: [number, number];
  padding?: 'same' | 'valid';
}

export interface Cut {
  operations: number[];
  /** Into how many each segment is cut there; null: the number of steps. */
  factor: number | null;
}

export interface NetworkLayer {
  operation: number;
  /** Operations whose kernels read the layer. */
  readers: number[];
  cuts: { value: Cut[]; policy: Cut[] };
}

export interface NetworkMeta {
  operations: Operation[];
  logits: number;
  value: number;
  layers: Record<string, NetworkLayer>;
}

export type Weights = Record<string, Float32Array>;

export interface Setup {
  wasm: Uint8Array<ArrayBuffer>;
  meta: NetworkMeta;
  /** Weights, and features' directions as "directions/<layer>". */
  weights: Weights;
  shapes: Record<string, number[]>;
}

export interface Question {
  id: number;
  /** One observation, u8 [H, W, C]. */
  picture: Uint8Array;
  /** Factors of a layer's features, where they are not 1. */
  scales: { layer: string; factors: number[] } | null;
  attribution: {
    /** null: the gradient with respect to the observation in [0, 1]. */
    layer: string | null;
    /** The value function, or actions whose logits are summed. */
    output: 'value' | number[];
    nSteps: number;
    /** Positions that are summed (of gradients: averaged), along each axis. */
    pooled: number;
  } | null;
}

export interface Outputs {
  id: number;
  kind: 'outputs';
  value: number;
  logits: Float32Array;
  ms: number;
}

export interface Attributed {
  id: number;
  kind: 'attribution';
  /** [K + 1, H, W], the residual last; of a gradient [C, H, W]. */
  maps: Float32Array;
  /** By map: sums over positions. */
  totals: Float32Array;
  /** Of the output, from where the layer is 0; null: of gradients. */
  change: number | null;
  ms: number;
}

export type Answer =
  | Outputs
  | Attributed
  | { kind: 'ready' }
  | { kind: 'failed'; id: number | null; message: string };
