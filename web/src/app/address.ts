/** What is on view, as the address's hash. Numbers in it count from 1, as on the page. */

import type { Output } from '../bundle/attribution';
import type { LayerInfo, ManifestMeta } from '../bundle/types';

export interface RowState {
  model: string;
  output: Output;
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
  /** The feature (or residual) shown alone, from 0; null: all. */
  isolated: number | null;
}

/** From the least to the most, in steps. */
export const RADII = { min: 0, max: 12, step: 1, usual: 7 };
export const BRIGHTNESSES = { min: -3, max: 3, step: 0.5, usual: 0 };

export function defaultState(meta: ManifestMeta): ViewState {
  const model = meta.models[0]!;
  const layer = model.layers.find((l) => l.id === meta.default_layer) ?? model.layers[0]!;
  return {
    trajectory: 0,
    frame: 0,
    layer: layer.id,
    rows: [{ model: model.id, output: 'value' }],
    overlay: true,
    combine: false,
    residual: false,
    radius: RADII.usual,
    brightness: BRIGHTNESSES.usual,
    isolated: null,
  };
}

const FLAGS = ['overlay', 'combine', 'residual'] as const;
const LEVELS = [
  ['smoothing', 'radius', RADII],
  ['brightness', 'brightness', BRIGHTNESSES],
] as const;
const KNOWN = new Set<string>([
  ...['trajectory', 'frame', 'layer', 'rows', 'feature'],
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
  return `#${parts.join('&')}`;
}

function formatRow({ model, output }: RowState, usual: string): string {
  const what = output === 'value' ? 'value' : output.map((a) => a + 1).join('+');
  return model === usual ? what : `${encodeURIComponent(model)}:${what}`;
}

/** Reads an address; whatever in it makes no sense falls back, with a notice that says so. */
export function parseAddress(
  hash: string,
  meta: ManifestMeta,
): { state: ViewState; notices: string[] } {
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

  const feature = given.get('feature');
  if (feature !== undefined) {
    const shown = modelLayer(meta, state);
    const most = shown.n_features + (shown.kind === 'gradient' ? 0 : 1);
    const value = /^\d+$/.test(feature) ? Number(feature) : NaN;
    if (value >= 1 && value <= most) state.isolated = value - 1;
    else
      notices.push(
        `The address asks for feature “${feature}”; layer ${shown.id} has 1 to ${most}. ` +
          `Showing all.`,
      );
  }
  return { state, notices };
}

function modelLayer(meta: ManifestMeta, { rows, layer }: ViewState): LayerInfo {
  const model = meta.models.find((m) => m.id === rows[0]!.model) ?? meta.models[0]!;
  return model.layers.find((l) => l.id === layer) ?? model.layers[0]!;
}

function parseRow(text: string, meta: ManifestMeta): RowState | null {
  const colon = text.lastIndexOf(':');
  const model = colon < 0 ? meta.models[0]!.id : text.slice(0, colon);
  if (!meta.models.some((m) => m.id === model)) return null;
  const what = text.slice(colon + 1);
  if (what === 'value') return { model, output: 'value' };
  const actions = what.split('+').map((n) => (/^\d+$/.test(n) ? Number(n) - 1 : -1));
  const valid = actions.every((a) => a >= 0 && a < meta.action_names.length);
  return valid && new Set(actions).size === actions.length ? { model, output: actions } : null;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
