/** The shapes of docs/bundle_format.md. */

export type Dtype = 'u8' | 'i8' | 'u16' | 'i16' | 'i32' | 'f32';
export type Codec = 'none' | 'gzip' | 'webp' | 'png';

export interface ArrayEntry {
  name: string;
  dtype: Dtype;
  shape: number[];
  codec: Codec;
  offset: number;
  length: number;
  /** Pictures in a row of the sheet; for webp and png. */
  columns?: number;
  /** Bytes of each map's sheet; for i8 in webp and png. */
  sheets?: number[];
  /** The axis along which the entries `name#0`, `name#1`, … are joined. */
  axis?: number;
}

/** How to read and check what follows it. */
export interface PartEnvelope {
  version: number;
  encoding: 'windows-1252' | 'base64';
  bytes: number;
  /** CRC-32 of the head's text and the data. */
  checksum: number;
}

export interface PartHead {
  part: string;
  meta: unknown;
  arrays: ArrayEntry[];
}

export interface Episode {
  start: number;
  /** Exclusive; null: not finished within the trajectory. */
  end: number | null;
  level_seed: number | null;
  success: boolean | null;
}

export interface TrajectoryInfo {
  length: number;
  title: string;
  episodes: Episode[];
}

export interface Moment {
  trajectory: number;
  frame: number;
  kind: string;
  score: number;
  text: string;
}

/** An object of the game that a feature detects, by ground truth. */
export interface DetectedObject {
  object: string;
  /** Response at the object over the mean response. */
  ratio: number;
  average_precision: number;
}

export interface FeatureInfo {
  name: string | null;
  share: number;
  objects?: DetectedObject[];
}

export type LayerKind = 'attribution' | 'gradient';

export interface LayerInfo {
  id: string;
  shape: [number, number, number];
  part: string;
  policy_part: string | null;
  /** The outputs without each feature. */
  without_part?: string | null;
  kind: LayerKind;
  n_features: number;
  features: FeatureInfo[];
  /** Of the absolute attribution; null: of gradients, or unknown. */
  residual_share?: number | null;
}

export interface ModelInfo {
  id: string;
  name: string;
  layers: LayerInfo[];
  /** The model itself, which the page can then compute. */
  network_part?: string | null;
}

export interface ManifestMeta {
  title: string;
  package_version: string;
  created_with: Record<string, unknown>;
  environment: Record<string, unknown>;
  observation_shape: [number, number, number];
  action_combos: string[][];
  action_names: string[];
  /** Actions that do what pressing nothing does. */
  idle_actions?: number[];
  gamma: number;
  lambda: number;
  trajectories: TrajectoryInfo[];
  moments: Moment[];
  models: ModelInfo[];
  default_layer: string;
  /** Side of the pictures in "frames_full"; null: there are none. */
  full_resolution?: number | null;
  /** The part of films of agents that played on from moments. */
  what_if?: string | null;
  notes: string[];
}

export interface MapInfo {
  multiple: number;
  rows: number;
  columns: number;
}

export interface LayerMeta {
  model: string;
  layer: string;
  kind: LayerKind;
  /** Of the codes, from a frame's largest attribution to its negative. */
  code_levels: number;
  /** Median over frames of each frame's largest absolute feature attribution. */
  scale: number;
  quadrature?: {
    rule: string;
    n_nodes: number;
    mean_gap: number;
    mean_total: number;
    /** Of features' totals, relative to the mean total; null: not measured. */
    error: number | null;
  };
  maps?: MapInfo[];
  thumbnail?: { rows: number; columns: number };
}
