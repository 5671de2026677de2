/** The bundle as the page uses it: settings, timelines, pictures and attributions. */

import { Attribution, type Output } from './attribution';
import { Cache } from './cache';
import { Films } from './films';
import { Legend } from './legend';
import { PartError, type Parts } from './parts';
import { Pictures } from './pictures';
import type { Sheet } from './arrays';
import { openWithout, type Without } from './without';
import type { NetworkMeta, Setup } from '../engine/types';
import type { LayerInfo, ManifestMeta, ModelInfo } from './types';

/** Bytes that are kept of parts as they came, of decoded pictures and of decoded attributions. */
export const PART_MEMORY = 256e6;
const PICTURE_MEMORY = 384e6;
const ATTRIBUTION_MEMORY = 256e6;

export interface Timelines {
  actions: Uint8Array;
  rewards: Float32Array;
  firsts: Uint8Array;
  /** By model id. */
  values: Record<string, Float32Array>;
  advantages: Record<string, Float32Array>;
  /** [S, A] by model id. */
  logits: Record<string, Float32Array>;
}

export class Bundle {
  /** Where each trajectory begins in arrays over all frames; one more for the end. */
  readonly starts: number[];
  #sheets = new Cache<Sheet>(PICTURE_MEMORY, (s) => s.bitmap.width * s.bitmap.height * 4);
  #codes = new Cache<Int8Array>(ATTRIBUTION_MEMORY, (codes) => codes.length);
  #pictures = new Map<string, Promise<Pictures>>();
  #attributions = new Cache<Attribution>(PART_MEMORY, (attribution) => attribution.bytes);
  #without = new Map<string, Promise<Without>>();
  #legends = new Map<string, Promise<Legend>>();
  #films = new Map<string, Promise<Films>>();

  private constructor(
    private readonly parts: Parts,
    readonly meta: ManifestMeta,
    /** Tells this bundle's stored names from another's. */
    readonly id: string,
    readonly timelines: Timelines,
  ) {
    this.starts = [0];
    for (const { length } of meta.trajectories) this.starts.push(this.starts.at(-1)! + length);
  }

  static async open(parts: Parts): Promise<Bundle> {
    const part = await parts.load('manifest');
    const meta = part.meta as ManifestMeta;
    for (const list of ['trajectories', 'models', 'action_names'] as const)
      if (!Array.isArray(meta?.[list]) || !meta[list].length)
        throw new PartError('manifest', `data/manifest.js lists no ${list}.`);
    const frames = meta.trajectories.reduce((sum, t) => sum + t.length, 0);
    const nActions = meta.action_names.length;
    const timelines: Timelines = {
      actions: await part.array('actions', [frames]),
      rewards: await part.array('rewards', [frames]),
      firsts: await part.array('firsts', [frames]),
      values: {},
      advantages: {},
      logits: {},
    };
    for (const { id } of meta.models) {
      timelines.values[id] = await part.array(`${id}/values`, [frames]);
      timelines.advantages[id] = await part.array(`${id}/advantages`, [frames]);
      timelines.logits[id] = await part.array(`${id}/logits`, [frames, nActions]);
    }
    const id = part.checksum.toString(16).padStart(8, '0');
    return new Bundle(parts, meta, id, timelines);
  }

  get nActions(): number {
    return this.meta.action_names.length;
  }

  model(id: string): ModelInfo {
    return this.meta.models.find((m) => m.id === id) ?? this.meta.models[0]!;
  }

  layer(modelId: string, layerId: string): LayerInfo | undefined {
    return this.model(modelId).layers.find((l) => l.id === layerId);
  }

  /** Index of a trajectory's frame in arrays over all frames. */
  index(trajectory: number, frame: number): number {
    return this.starts[trajectory]! + frame;
  }

  frames(): Promise<Pictures> {
    return this.#openPictures('frames', 'observations');
  }

  examples(): Promise<Pictures> {
    return this.#openPictures('examples', 'observations');
  }

  fullFrames(): Promise<Pictures> {
    return this.#openPictures('frames_full', 'observations_full');
  }

  /** The outputs without each feature of a layer; null where they were not computed. */
  without(modelId: string, layerId: string): Promise<Without | null> {
    const layer = this.layer(modelId, layerId);
    const name = layer?.without_part;
    if (!layer || !name) return Promise.resolve(null);
    return remember(this.#without, name, async () =>
      openWithout(await this.parts.load(name), layer.n_features, this.starts.at(-1)!, this.nActions),
    );
  }

  /** Films of what would have happened; null where there are none. */
  films(): Promise<Films | null> {
    const name = this.meta.what_if;
    if (!name) return Promise.resolve(null);
    return remember(this.#films, name, async () => new Films(await this.parts.load(name), this.#sheets));
  }

  /** The program that computes models, and what it needs for this one. */
  async network(modelId: string): Promise<{ program: Uint8Array<ArrayBuffer>; setup: Setup }> {
    const name = this.model(modelId).network_part;
    if (!name) throw new PartError(modelId, 'This page does not hold the model.');
    const [engine, part] = await Promise.all([this.parts.load('engine'), this.parts.load(name)]);
    const program = await engine.array<Uint8Array<ArrayBuffer>>('program');
    const wasm = await engine.array<Uint8Array<ArrayBuffer>>('wasm');
    const setup: Setup = { wasm, meta: part.meta as NetworkMeta, weights: {}, shapes: {} };
    for (const { name: array, shape } of part.head.arrays) {
      setup.weights[array] = await part.array(array);
      setup.shapes[array] = shape;
    }
    return { program, setup };
  }

  /** Which picture of `fullFrames` shows frame s; -1: none. */
  async fullFrameIndex(): Promise<(s: number) => number> {
    const meta = (await this.parts.load('frames_full')).meta as { frames: number[] | null };
    if (!meta?.frames) return (s) => s;
    const places = new Map(meta.frames.map((s, i) => [s, i]));
    return (s) => places.get(s) ?? -1;
  }

  attribution(modelId: string, layerId: string, output: Output): Promise<Attribution> {
    const key = `${modelId}/${layerId}/${output}`;
    return this.#attributions.get(key, async () => {
      const layer = this.layer(modelId, layerId);
      const name = output === 'value' ? layer?.part : layer?.policy_part;
      if (!name)
        throw new PartError(
          layerId,
          `Layer ${layerId} of ${this.model(modelId).name} has no attribution of ` +
            (output === 'value' ? 'the value function.' : 'actions.'),
        );
      const part = await this.parts.load(name);
      const actions = output === 'value' ? [] : output;
      const holders = await Promise.all(actions.map((a) => this.parts.load(`${name}/${a}`)));
      return Attribution.open(part, holders, output, this.#codes);
    });
  }

  legend(modelId: string, layerId: string): Promise<Legend | null> {
    const layer = this.layer(modelId, layerId);
    if (!layer || layer.kind === 'gradient') return Promise.resolve(null);
    return remember(this.#legends, layer.part, async () =>
      Legend.open(await this.parts.load(layer.part), layer),
    );
  }

  #openPictures(name: string, array: string): Promise<Pictures> {
    return remember(this.#pictures, name, async () =>
      new Pictures(await this.parts.load(name), array, this.#sheets),
    );
  }
}

/** The promise kept under a key; forgotten when it fails, so that one can try again. */
function remember<T>(
  kept: Map<string, Promise<T>>,
  key: string,
  make: () => Promise<T>,
): Promise<T> {
  const found = kept.get(key);
  if (found) return found;
  const made = make();
  kept.set(key, made);
  made.catch(() => kept.delete(key));
  return made;
}
