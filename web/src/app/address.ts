/** What is on view, as the address's hash. Numbers in it count from 1, as on the page. */

import { PALETTES, type Palette } from '../arithmetic/colours';
import { OUTCOMES, type Filter } from '../arithmetic/find';
import type { Output } from '../bundle/attribution';
import type { StackFrame } from '../bundle/pictures';
import type { LayerInfo, ManifestMeta } from '../bundle/types';

interface RowState {
  model: string;
  /** null: the layer on view. */
  layer: string | null;
  output: Output;
}

const WHATS = ['positive', 'negative', 'falls', 'rises', 'failures'] as const;
export type What = (typeof WHATS)[number];

/** What Find looks for. */
export interface FindState extends Filter {
  what: What;
  /** From 0; for positive and negative attribution. */
  feature: number;
}

/** Changes of the frame and of features. */
export interface WhatIfState {
  /** By feature of the first row's layer. */
  factors: number[];
  /** `encodeChanges` of the observation. */
  edits: string;
}

export interface ViewState {
  /** From 0. */
  trajectory: number;
  frame: number;
  layer: string;
  rows: RowState[];
  overlay: boolean;
  combine: boolean;
  residual: boolean;
  /** Radius of the smoothing disc in cells of the layer; 0: none. */
  radius: number;
  /** In powers of two; 0: as computed. */
  brightness: number;
  /** Attributions below so many percent of the frame's largest are left out. */
  strongest: number;
  /** The feature (or residual) shown alone, from 0; null: all. */
  isolated: number | null;
  /** Whether bars show what changed since the frame before. */
  change: boolean;
  /** The crosshair's cell of the layer, from 0. */
  point: { row: number; column: number } | null;
  /** Actions whose logits have a graph, from 0. */
  logits: number[];
  /** The feature whose own view is open, from 0. */
  opened: number | null;
  /** null: bookmarks in place of Find. */
  find: FindState | null;
  /** Which frame of a stack of observations. */
  stack: StackFrame;
  /** null: the reader's own. */
  palette: Palette | null;
  /** null: not on view. */
  whatIf: WhatIfState | null;
  /** The films on view: their number in the bundle, from 0, and the step; null: none. */
  films: { number: number; step: number } | null;
}

/** From the least to the most, in steps. */
export const RADII = { min: 0, max: 12, step: 1, usual: 7 };
export const BRIGHTNESSES = { min: -3, max: 3, step: 0.5, usual: 0 };
/** Of a feature's own strength. */
export const FACTORS = { min: 0, max: 2, step: 0.05, usual: 1 };
export const STRONGEST = { min: 0, max: 90, step: 5, usual: 0 };

export const FIND: FindState = { what: 'positive', feature: 0, action: null, outcome: 'any' };

export function defaultState(meta: ManifestMeta): ViewState {
  const model = meta.models[0]!;
  const layer = model.layers.find((l) => l.id === meta.default_layer) ?? model.layers[0]!;
  return {
    trajectory: 0,
    frame: 0,
    layer: layer.id,
    rows: [{ model: model.id, layer: null, output: 'value' }],
    overlay: true,
    combine: false,
    residual: true,
    radius: RADII.usual,
    brightness: BRIGHTNESSES.usual,
    strongest: STRONGEST.usual,
    isolated: null,
    change: false,
    point: null,
    logits: [],
    opened: null,
    find: null,
    stack: 0,
    palette: null,
    whatIf: null,
    films: null,
  };
}

const FLAGS = ['overlay', 'combine', 'residual', 'change'] as const;
const LEVELS = [
  ['smoothing', 'radius', RADII],
  ['brightness', 'brightness', BRIGHTNESSES],
  ['strongest', 'strongest', STRONGEST],
] as const;
const KNOWN = new Set<string>([
  ...['trajectory', 'frame', 'layer', 'rows', 'feature', 'point', 'logits', 'open'],
  ...['find', 'action', 'outcome', 'stack', 'palette', 'names'],
  ...['whatif', 'factors', 'edits', 'films', 'step'],
  ...FLAGS,
  ...LEVELS.map(([key]) => key),
]);

export function formatAddress(state: ViewState, meta: ManifestMeta): string {
  const usual = defaultState(meta);
  const parts = [
    `trajectory=${state.trajectory + 1}`,
    `frame=${state.frame + 1}`,
    `layer=${encodeURIComponent(state.layer)}`,
  ];
  const rows = state.rows.map((row) => formatRow(row, usual.rows[0]!.model)).join(',');
  if (rows !== 'value') parts.push(`rows=${rows}`);
  for (const flag of FLAGS)
    if (state[flag] !== usual[flag]) parts.push(`${flag}=${state[flag] ? 1 : 0}`);
  for (const [key, field, { usual }] of LEVELS)
    if (state[field] !== usual) parts.push(`${key}=${state[field]}`);
  if (state.isolated !== null) parts.push(`feature=${state.isolated + 1}`);
  const { point, logits, opened, find, stack, palette, whatIf, films } = state;
  if (point) parts.push(`point=${point.row + 1},${point.column + 1}`);
  if (logits.length) parts.push(`logits=${logits.map((a) => a + 1).join(',')}`);
  if (opened !== null) parts.push(`open=${opened + 1}`);
  if (find) {
    const of = find.what === 'positive' || find.what === 'negative' ? `:${find.feature + 1}` : '';
    parts.push(`find=${find.what}${of}`);
    if (find.action !== null) parts.push(`action=${find.action + 1}`);
    if (find.outcome !== 'any') parts.push(`outcome=${find.outcome}`);
  }
  if (stack !== 0) parts.push(`stack=${stack}`);
  if (palette !== null) parts.push(`palette=${palette}`);
  if (whatIf) {
    parts.push('whatif=1');
    const factors = whatIf.factors.flatMap((f, k) =>
      f === FACTORS.usual ? [] : `${k + 1}:${Math.round(100 * f)}`,
    );
    if (factors.length) parts.push(`factors=${factors.join(',')}`);
    if (whatIf.edits) parts.push(`edits=${whatIf.edits}`);
  }
  if (films) {
    parts.push(`films=${films.number + 1}`);
    if (films.step) parts.push(`step=${films.step}`);
  }
  return `#${parts.join('&')}`;
}

function formatRow({ model, layer, output }: RowState, usual: string): string {
  let what = output === 'value' ? 'value' : output.map((a) => a + 1).join('+');
  if (layer !== null) what += `@${encodeURIComponent(layer)}`;
  return model === usual ? what : `${encodeURIComponent(model)}:${what}`;
}

/** Reads an address; whatever in it makes no sense falls back, with a notice that says so. */
export function parseAddress(
  hash: string,
  meta: ManifestMeta,
): { state: ViewState; names: unknown; notices: string[] } {
  const state = defaultState(meta);
  const notices: string[] = [];
  const given = new Map<string, string>();
  for (const pair of hash.replace(/^#/, '').split('&')) {
    if (!pair) continue;
    const [key, ...rest] = pair.split('=');
    if (KNOWN.has(key!)) given.set(key!, decode(rest.join('=')));
    else notices.push(`The address has an unknown parameter “${decode(key!)}”; it is ignored.`);
  }

  const whole = (key: string, most: number, of: string): number | null => {
    const text = given.get(key);
    if (text === undefined) return null;
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    if (value >= 1 && value <= most) return value - 1;
    notices.push(`The address asks for ${key} “${text}”; ${of} 1 to ${most}. Showing the first.`);
    return null;
  };
  const nTrajectories = meta.trajectories.length;
  state.trajectory = whole('trajectory', nTrajectories, 'there are trajectories') ?? 0;
  state.frame =
    whole('frame', meta.trajectories[state.trajectory]!.length, 'this trajectory has frames') ?? 0;

  const layer = given.get('layer');
  if (layer !== undefined) {
    const known = meta.models[0]!.layers.map((l) => l.id);
    if (known.includes(layer)) state.layer = layer;
    else
      notices.push(
        `The address asks for layer “${layer}”; there are ${known.join(', ')}. ` +
          `Showing ${state.layer}.`,
      );
  }

  const rows = given.get('rows');
  if (rows !== undefined) {
    const parsed = rows.split(',').map((text) => parseRow(text, meta));
    if (parsed.every((row) => row !== null)) state.rows = parsed;
    else
      notices.push(`The address asks for rows “${rows}”, which this page cannot show.`);
  }

  for (const flag of FLAGS) {
    const text = given.get(flag);
    if (text === '1' || text === '0') state[flag] = text === '1';
    else if (text !== undefined)
      notices.push(`The address has ${flag} “${text}”; it is 0 or 1.`);
  }

  for (const [key, field, { min, max, step }] of LEVELS) {
    const text = given.get(key);
    if (text === undefined) continue;
    const value = /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
    if (value >= min && value <= max && Number.isInteger(value / step)) state[field] = value;
    else
      notices.push(
        `The address asks for ${key} “${text}”; it goes from ${min} to ${max} in steps of ` +
          `${step}. Showing the usual.`,
      );
  }

  const shown = modelLayer(meta, state);
  const maps = shown.n_features + (shown.kind === 'gradient' ? 0 : 1);
  const number = (text: string, most: number): number | null => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    return value >= 1 && value <= most ? value - 1 : null;
  };
  const oneOf = (key: string, most: number, what: string): number | null => {
    const text = given.get(key);
    if (text === undefined) return null;
    const value = number(text, most);
    if (value === null) notices.push(`The address asks for ${key} “${text}”; ${what} 1 to ${most}.`);
    return value;
  };
  const nonsense = (key: string) =>
    notices.push(`The address asks for ${key} “${given.get(key)}”, which this page cannot show.`);

  state.isolated = oneOf('feature', maps, `layer ${shown.id} has`);
  if (shown.kind !== 'gradient')
    state.opened = oneOf('open', shown.n_features, `layer ${shown.id} has`);
  const action = oneOf('action', meta.action_names.length, 'there are actions');

  const point = given.get('point');
  if (point !== undefined) {
    const [row, column, ...more] = point.split(',').map((text, i) => number(text, shown.shape[i] ?? 0));
    if (row != null && column != null && !more.length) state.point = { row, column };
    else nonsense('point');
  }

  const logits = given.get('logits');
  if (logits !== undefined) {
    const actions = logits.split(',').map((text) => number(text, meta.action_names.length));
    if (actions.every((a) => a !== null)) state.logits = [...new Set(actions)].sort((a, b) => a - b);
    else nonsense('logits');
  }

  const find = given.get('find');
  if (find !== undefined) {
    const [what, of] = find.split(':') as [What, string | undefined];
    const feature = of === undefined ? 0 : number(of, maps);
    const outcome = OUTCOMES.find((o) => o === (given.get('outcome') ?? 'any'));
    if (WHATS.includes(what) && feature !== null && outcome)
      state.find = { what, feature, action, outcome };
    else nonsense(outcome ? 'find' : 'outcome');
  }

  const stack = given.get('stack');
  if (stack !== undefined) {
    if (stack === 'difference') state.stack = stack;
    else if (/^\d$/.test(stack)) state.stack = Number(stack);
    else nonsense('stack');
  }

  const palette = given.get('palette');
  if (palette !== undefined) {
    state.palette = PALETTES.find((p) => p === palette) ?? null;
    if (state.palette === null) nonsense('palette');
  }

  const changed = ['whatif', 'factors', 'edits'].find((key) => given.has(key));
  if (changed !== undefined) {
    const row = state.rows[0]!;
    const model = meta.models.find((m) => m.id === row.model)!;
    const layer = model.layers.find((l) => l.id === (row.layer ?? state.layer))!;
    const factors = parseFactors(given.get('factors'), layer);
    if (given.get('whatif') === '1' && model.network_part && factors)
      state.whatIf = { factors, edits: given.get('edits') ?? '' };
    else nonsense(factors ? changed : 'factors');
  }

  if (given.has('films') || given.has('step')) {
    const of = number(given.get('films') ?? '', Infinity);
    const step = given.get('step') ?? '0';
    if (of !== null && /^\d{1,6}$/.test(step) && meta.what_if) state.films = { number: of, step: Number(step) };
    else nonsense(of === null || !meta.what_if ? 'films' : 'step');
  }

  let names: unknown = null;
  const text = given.get('names');
  try {
    if (text !== undefined) names = JSON.parse(text);
  } catch {
    notices.push('The address holds names of features that cannot be read.');
  }
  return { state, names, notices };
}

function modelLayer(meta: ManifestMeta, { rows, layer }: ViewState): LayerInfo {
  const model = meta.models.find((m) => m.id === rows[0]!.model) ?? meta.models[0]!;
  return model.layers.find((l) => l.id === layer) ?? model.layers[0]!;
}

/** Factors by feature; null: they make no sense. */
function parseFactors(text: string | undefined, layer: LayerInfo): number[] | null {
  const factors = usualFactors(layer);
  for (const one of text?.split(',') ?? []) {
    const [, feature, percent] = /^(\d+):(\d+)$/.exec(one) ?? [];
    const [k, factor] = [Number(feature) - 1, Number(percent) / 100];
    if (!(k in factors) || !(factor <= FACTORS.max)) return null;
    factors[k] = factor;
  }
  return factors;
}

/** Every feature at its own strength; gradients have no features. */
export function usualFactors({ kind, n_features }: LayerInfo): number[] {
  return Array.from({ length: kind === 'attribution' ? n_features : 0 }, () => FACTORS.usual);
}

function parseRow(text: string, meta: ManifestMeta): RowState | null {
  const colon = text.lastIndexOf(':');
  const model = colon < 0 ? meta.models[0]!.id : text.slice(0, colon);
  if (!meta.models.some((m) => m.id === model)) return null;
  const [what, named] = text.slice(colon + 1).split('@') as [string, string | undefined];
  const layer = named ?? null;
  if (layer !== null && !meta.models.find((m) => m.id === model)!.layers.some((l) => l.id === layer))
    return null;
  if (what === 'value') return { model, layer, output: 'value' };
  const actions = what.split('+').map((n) => (/^\d+$/.test(n) ? Number(n) - 1 : -1));
  const valid = actions.every((a) => a >= 0 && a < meta.action_names.length);
  return valid && new Set(actions).size === actions.length 
    ? { model, layer, output: actions }
    : null;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
