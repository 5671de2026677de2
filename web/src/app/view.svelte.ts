/** What is on view, and the few ways to change it. */

import { channelOrFeatureColours, type Rgb } from '../arithmetic/colours';
import { softmax } from '../arithmetic/policy';
import { disc } from '../arithmetic/smoothing';
import type { Output } from '../bundle/attribution';
import type { Bundle } from '../bundle/bundle';
import type { Episode, LayerInfo, LayerKind } from '../bundle/types';
import {
  BRIGHTNESSES,
  defaultState,
  formatAddress,
  parseAddress,
  RADII,
  type ViewState,
} from './address';
import { FeatureNames } from './names.svelte';
import { Player } from './player.svelte';
import { preferences } from './preferences.svelte';

export interface Row {
  /** Tells rows apart while they come and go. */
  key: number;
  model: string;
  output: Output;
}

/** A place in the pictures, as fractions from the top left. */
export interface Probe {
  y: number;
  x: number;
  pinned: boolean;
}

export class View {
  readonly names: FeatureNames;
  readonly player: Player;
  trajectory = $state(0);
  frame = $state(0);
  layerId = $state('');
  rows: Row[] = $state([]);
  overlay = $state(true);
  combine = $state(false);
  residual = $state(false);
  /** Beside the observation its full-resolution picture, where there is one. */
  fullResolution = $state(true);
  /** Radius of the smoothing disc in cells of the layer; 0: none. */
  radius = $state(RADII.usual);
  /** In powers of two. */
  brightness = $state(BRIGHTNESSES.usual);
  /** Actions whose logits have a graph beside those of the rows. */
  graphedActions: number[] = $state([]);
  hovered: number | null = $state(null);
  isolatedByKey: number | null = $state(null);
  probe: Probe | null = $state(null);
  /** The feature whose visualization is open. */
  opened: number | null = $state(null);
  notices: string[] = $state([]);
  #nextKey = 0;

  constructor(readonly bundle: Bundle) {
    this.names = new FeatureNames(bundle.meta, bundle.id);
    this.player = new Player(this);
    this.goTo(defaultState(bundle.meta));
  }

  /** Frames of the trajectory. */
  get length(): number {
    return this.bundle.meta.trajectories[this.trajectory]!.length;
  }

  get start(): number {
    return this.bundle.starts[this.trajectory]!;
  }

  /** The frame's index over all trajectories. */
  get s(): number {
    return this.start + this.frame;
  }

  get layer(): LayerInfo {
    return this.bundle.layer(this.rows[0]!.model, this.layerId)!;
  }

  get episode(): { number: number; info: Episode } | null {
    const { episodes } = this.bundle.meta.trajectories[this.trajectory]!;
    const at = episodes.findIndex(
      (e) => e.start <= this.frame && (e.end === null || this.frame < e.end),
    );
    return at < 0 ? null : { number: at + 1, info: episodes[at]! };
  }

  /** The feature (or residual) shown alone. */
  get isolated(): number | null {
    return this.hovered ?? this.isolatedByKey;
  }

  /** What attributions are multiplied by to be shown. */
  get strength(): number {
    return 2 ** this.brightness;
  }

  filter = $derived.by(() => disc(this.radius));

  /** By map of the layer: its features, then the residual. */
  get colours(): Rgb[] {
    return this.coloursOf(this.layer.kind, this.layer.n_features);
  }

  coloursOf(kind: LayerKind, nFeatures: number): Rgb[] {
    return channelOrFeatureColours(kind, nFeatures, preferences.palette);
  }

  probabilities(modelId: string, s = this.s): Float64Array {
    const n = this.bundle.nActions;
    return softmax(this.bundle.timelines.logits[modelId]!.subarray(s * n, (s + 1) * n));
  }

  select(trajectory: number, frame = 0): void {
    this.player.pause();
    this.trajectory = trajectory;
    this.frame = Math.min(Math.max(frame, 0), this.length - 1);
  }

  setLayer(id: string): void {
    this.layerId = id;
    this.hovered = null;
    this.isolatedByKey = null;
    const usable = this.bundle.layer(this.rows[0]!.model, id)?.policy_part;
    if (!usable && this.rows.some((r) => r.output !== 'value')) {
      this.notify(`Layer ${id} has attribution of the value function only.`);
      for (const row of this.rows) row.output = 'value';
    }
  }

  addRow(model = this.rows.at(-1)!.model, output: Output = 'value'): void {
    this.rows.push({ key: this.#nextKey++, model, output });
  }

  removeRow(key: number): void {
    if (this.rows.length > 1) this.rows = this.rows.filter((r) => r.key !== key);
  }

  notify(text: string): void {
    if (!this.notices.includes(text)) this.notices.push(text);
  }

  get state(): ViewState {
    const { trajectory, frame, overlay, combine, residual, radius, brightness } = this;
    return {
      trajectory,
      frame,
      layer: this.layerId,
      rows: this.rows.map(({ model, output }) => ({ model, output })),
      overlay,
      combine,
      residual,
      radius,
      brightness,
      isolated: this.isolatedByKey,
    };
  }

  get address(): string {
    return formatAddress(this.state, this.bundle.meta);
  }

  readAddress(hash: string): void {
    const { state, notices } = parseAddress(hash, this.bundle.meta);
    this.goTo(state);
    notices.forEach((text) => this.notify(text));
  }

  goTo(state: ViewState): void {
    this.player.pause();
    this.trajectory = state.trajectory;
    this.frame = state.frame;
    this.overlay = state.overlay;
    this.combine = state.combine;
    this.residual = state.residual;
    this.radius = state.radius;
    this.brightness = state.brightness;
    this.rows = state.rows.map((row) => ({ ...row, key: this.#nextKey++ }));
    this.setLayer(state.layer);
    this.isolatedByKey = state.isolated;
  }
}
