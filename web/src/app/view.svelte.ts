/** What is on view, and the few ways to change it. */

import { channelOrFeatureColours, type Rgb } from '../arithmetic/colours';
import { clamp } from '../arithmetic/numbers';
import { softmax } from '../arithmetic/policy';
import { disc } from '../arithmetic/smoothing';
import type { Attribution, Output } from '../bundle/attribution';
import type { Bundle } from '../bundle/bundle';
import type { StackFrame } from '../bundle/pictures';
import type { Episode, LayerInfo, LayerKind } from '../bundle/types';
import {
  BRIGHTNESSES,
  defaultState,
  formatAddress,
  parseAddress,
  FIND,
  RADII,
  STRONGEST,
  type FindState,
  type ViewState,
} from './address';
import { cellOf, middleOf, type Place } from './grid';
import { FeatureNames } from './names.svelte';
import { Player } from './player.svelte';
import { preferences } from './preferences.svelte';
import type { Look } from './shading';
import { WhatIf } from './what_if.svelte';

export interface Row {
  /** Tells rows apart while they come and go. */
  key: number;
  model: string;
  /** null: the layer on view. */
  layer: string | null;
  output: Output;
}

export interface Probe extends Place {
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
  residual = $state(true);
  /** Beside the observation its full-resolution picture, where there is one. */
  fullResolution = $state(true);
  /** Radius of the smoothing disc in cells of the layer; 0: none. */
  radius = $state(RADII.usual);
  /** In powers of two. */
  brightness = $state(BRIGHTNESSES.usual);
  /** Percent of a frame's largest attribution that the smallest shown has. */
  strongest = $state(STRONGEST.usual);
  /** Whether bars show what changed since the frame before. */
  change = $state(false);
  /** What Find looks for; null: bookmarks are shown. */
  find: FindState | null = $state(null);
  /** Which frame of a stack of observations. */
  stack: StackFrame = $state(0);
  /** Told before and after a move that Back takes back. */
  onJump: () => void = () => {};
  /** Actions whose logits have a graph beside those of the rows. */
  graphedActions: number[] = $state([]);
  hovered: number | null = $state(null);
  isolatedByKey: number | null = $state(null);
  probe: Probe | null = $state(null);
  /** The feature whose visualization is open. */
  opened: number | null = $state(null);
  notices: string[] = $state([]);
  /** Changes of the frame and of features, where they are on view. */
  whatIf: WhatIf | null = $state.raw(null);
  /** The films on view: their number in the bundle's list, and the step after their moment. */
  films: { number: number; step: number } | null = $state(null);
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

  /** Whether there is a frame before this one in its episode. */
  get follows(): boolean {
    return this.frame > 0 && !this.bundle.timelines.firsts[this.s];
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

  /** How attributions are shown; `sameLayer`: whether features are those of the legend. */
  look(source: Attribution, sameLayer = true): Look {
    return {
      colours: this.coloursOf(source.meta.kind, source.nFeatures),
      isolated: sameLayer ? this.isolated : null,
      residual: this.residual,
      strength: this.strength,
      strongest: this.strongest / 100,
      filter: this.filter,
    };
  }

  probabilities(modelId: string, s = this.s): Float64Array {
    const n = this.bundle.nActions;
    return softmax(this.bundle.timelines.logits[modelId]!.subarray(s * n, (s + 1) * n));
  }

  /** The layer that a row shows. */
  layerOf(row: Row): string {
    return row.layer ?? this.layerId;
  }

  /** The output of a row at frame s: the value function, or the sum of its logits. */
  outputAt({ model, output }: Row, s = this.s): number {
    const { values, logits } = this.bundle.timelines;
    if (output === 'value') return values[model]![s]!;
    return output.reduce((sum, a) => sum + logits[model]![s * this.bundle.nActions + a]!, 0);
  }

  /** Goes to a moment, and perhaps shows a feature alone; Back returns. */
  jump(trajectory: number, frame = 0, isolate: number | null = null): void {
    this.onJump();
    this.player.pause();
    this.trajectory = trajectory;
    this.frame = clamp(frame, 0, this.length - 1);
    if (isolate !== null) this.isolatedByKey = isolate;
  }

  /** Shows a feature alone until it is let go; again to let it go. */
  toggle(feature: number): void {
    this.isolatedByKey = this.isolatedByKey === feature ? null : feature;
    if (this.isolatedByKey !== null && this.find) this.find.feature = feature;
  }

  openWhatIf(open: boolean): void {
    this.whatIf?.close();
    this.whatIf = open ? new WhatIf(this) : null;
  }

  openFind(open: boolean): void {
    this.onJump();
    this.find = open ? { ...FIND, feature: this.isolatedByKey ?? 0 } : null;
  }

  setLayer(id: string): void {
    this.layerId = id;
    this.hovered = null;
    this.isolatedByKey = null;
    if (this.find) this.find.feature = Math.min(this.find.feature, this.layer.n_features);
    for (const row of this.rows) if (row.layer === id) row.layer = null;
    this.keepOutputs();
  }

  /** Falls back to the value function where a row's layer has no other output. */
  keepOutputs(): void {
    for (const row of this.rows) {
      const id = this.layerOf(row);
      if (row.output === 'value' || this.bundle.layer(row.model, id)?.policy_part) continue;
      this.notify(`Layer ${id} has attribution of the value function only.`);
      row.output = 'value';
    }
  }

  addRow(row: Omit<Row, 'key'>): void {
    this.rows.push({ ...row, key: this.#nextKey++ });
  }

  /** Adds a row of a layer that no row shows yet; where all are shown, of the first row's. */
  addLayer(): void {
    const { model } = this.rows.at(-1)!;
    const shown = this.rows.map((row) => this.layerOf(row));
    const unseen = this.bundle.model(model).layers.filter(({ id }) => !shown.includes(id));
    const layer = unseen.find(({ kind }) => kind === 'attribution') ?? unseen[0];
    this.addRow({ model, layer: layer?.id ?? null, output: 'value' });
  }

  removeRow(key: number): void {
    if (this.rows.length === 1) return;
    this.rows = this.rows.filter((r) => r.key !== key);
    const { layer } = this.rows[0]!;
    if (layer === null) return;
    for (const row of this.rows) row.layer ??= this.layerId; // what they show stays
    this.setLayer(layer); // the first row is of the layer on view
  }

  notify(text: string): void {
    if (!this.notices.includes(text)) this.notices.push(text);
  }

  get state(): ViewState {
    const { trajectory, frame, overlay, combine, residual, radius, brightness } = this;
    const { strongest, change, find, stack, opened, probe, layer } = this;
    return {
      trajectory,
      frame,
      layer: this.layerId,
      rows: this.rows.map(({ model, layer: own, output }) => ({ model, layer: own, output })),
      overlay,
      combine,
      residual,
      radius,
      brightness,
      isolated: this.isolatedByKey,
      strongest,
      change,
      point: probe?.pinned ? cellOf(probe, layer.shape[0], layer.shape[1]) : null,
      logits: [...this.graphedActions],
      opened,
      find: find && { ...find },
      stack,
      palette: preferences.palette === 'safe' ? null : preferences.palette,
      whatIf: this.whatIf?.state ?? null,
      films: this.films && { ...this.films },
    };
  }

  get address(): string {
    const address = formatAddress(this.state, this.bundle.meta);
    return this.names.linked ? this.named(address) : address;
  }

  /** The address with the names that the reader sees. */
  named(address: string): string {
    const names = this.names.toLink();
    return names ? `${address}&names=${names}` : address;
  }

  readAddress(hash: string): void {
    const { state, names, notices } = parseAddress(hash, this.bundle.meta);
    this.names.link(names);
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
    this.strongest = state.strongest;
    this.change = state.change;
    this.find = state.find;
    this.stack = state.stack;
    this.opened = state.opened;
    this.graphedActions = state.logits;
    const [height, width] = this.layer.shape;
    this.probe = state.point && { ...middleOf(state.point, height, width), pinned: true };
    if (state.palette) preferences.palette = state.palette;
    if (!state.whatIf) this.openWhatIf(false);
    else (this.whatIf ??= new WhatIf(this)).restore(state.whatIf);
    this.films = state.films;
  }
}
