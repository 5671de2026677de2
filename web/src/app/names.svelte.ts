/** Names of features: those of the bundle, over them those the reader gave. */

import type { ManifestMeta } from '../bundle/types';
import { readStore, writeStore } from './storage';

type Names = Record<string, Record<string, string>>;

interface NamesFile {
  lucid_rl_feature_names: 1;
  model: string;
  names: Names;
  notes?: Names;
}

const LONGEST = 80;
const LONGEST_NOTE = 2000;

export class FeatureNames {
  /** By layer and by feature's index, as text; "" takes the bundle's name away. */
  #own: Names = $state({});
  /** From a link: shown, but not kept. */
  #linked: Names = $state({});
  #notes: Names = $state({});
  #key: string;

  constructor(
    private readonly meta: ManifestMeta,
    bundleId: string,
  ) {
    this.#key = `names:${bundleId}`;
    this.#own = clean(readStore<unknown>(this.#key, {}));
    this.#notes = clean(readStore<unknown>(`${this.#key}:notes`, {}), LONGEST_NOTE);
  }

  /** The name, or "" for none. */
  get(layer: string, feature: number): string {
    const own = this.#own[layer]?.[feature];
    if (own !== undefined) return own;
    const linked = this.#linked[layer]?.[feature];
    if (linked !== undefined) return linked;
    const info = this.meta.models[0]!.layers.find((l) => l.id === layer);
    return info?.features[feature]?.name ?? '';
  }

  set(layer: string, feature: number, name: string): void {
    const text = tidy(name);
    if (text === this.get(layer, feature)) return;
    this.#own = { ...this.#own, [layer]: { ...this.#own[layer], [feature]: text } };
    writeStore(this.#key, this.#own);
  }

  note(layer: string, feature: number): string {
    return this.#notes[layer]?.[feature] ?? '';
  }

  setNote(layer: string, feature: number, text: string): void {
    const note = text.trim().slice(0, LONGEST_NOTE);
    this.#notes = { ...this.#notes, [layer]: { ...this.#notes[layer], [feature]: note } };
    writeStore(`${this.#key}:notes`, this.#notes);
  }

  /** Shows names that came with a link, under the reader's own. */
  link(value: unknown): void {
    this.#linked = clean(value);
  }

  get linked(): boolean {
    return Object.keys(this.#linked).length > 0;
  }

  /** All names but the bundle's, for an address. */
  toLink(): string {
    const given: Names = {};
    for (const { id, features } of this.meta.models[0]!.layers)
      features.forEach(({ name }, i) => {
        const shown = this.get(id, i);
        if (shown !== (name ?? '')) (given[id] ??= {})[i] = shown;
      });
    return Object.keys(given).length ? encodeURIComponent(JSON.stringify(given)) : '';
  }

  /** The text of a file that this page and the script read. */
  toFile(): string {
    const names: Names = {};
    for (const layer of this.meta.models[0]!.layers) {
      const named = layer.features
        .map((_, i) => [String(i), this.get(layer.id, i)] as const)
        .filter(([, name]) => name);
      if (named.length) names[layer.id] = Object.fromEntries(named);
    }
    const file: NamesFile = {
      lucid_rl_feature_names: 1,
      model: this.meta.models[0]!.name,
      names,
      ...(Object.keys(this.#notes).length ? { notes: this.#notes } : {}),
    };
    return `${JSON.stringify(file, null, 2)}\n`;
  }

  /** Takes a file's names over; returns how many. Throws an Error that says what is wrong. */
  fromFile(text: string): number {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw new Error('The file is not JSON.');
    }
    const wrapped = value as Partial<NamesFile> | null;
    const inner = wrapped?.lucid_rl_feature_names === 1 ? wrapped.names : value;
    const names = clean(inner);
    const layers = new Map(this.meta.models[0]!.layers.map((l) => [l.id, l.features.length]));
    const own = { ...this.#own };
    let count = 0;
    for (const [layer, features] of Object.entries(names))
      for (const [feature, name] of Object.entries(features)) {
        if (Number(feature) >= (layers.get(layer) ?? 0)) continue;
        own[layer] = { ...own[layer], [feature]: name };
        count++;
      }
    if (wrapped?.lucid_rl_feature_names === 1 && wrapped.notes) {
      for (const [layer, notes] of Object.entries(clean(wrapped.notes, LONGEST_NOTE)))
        this.#notes = { ...this.#notes, [layer]: { ...this.#notes[layer], ...notes } };
      writeStore(`${this.#key}:notes`, this.#notes);
    }
    if (!count) throw new Error('The file names no feature of this interface.');
    this.#own = own;
    writeStore(this.#key, this.#own);
    return count;
  }
}

/** Keeps what has the form layer → index → text. */
function clean(value: unknown, longest = LONGEST): Names {
  const names: Names = {};
  if (typeof value !== 'object' || value === null) return names;
  for (const [layer, features] of Object.entries(value)) {
    if (typeof features !== 'object' || features === null) continue;
    for (const [feature, name] of Object.entries(features))
      if (/^\d+$/.test(feature) && typeof name === 'string')
        (names[layer] ??= {})[feature] =
          longest === LONGEST ? tidy(name) : name.trim().slice(0, longest);
  }
  return names;
}

/** A name is one line. */
function tidy(name: string): string {
  return name.replace(/\s+/g, ' ').trim().slice(0, LONGEST);
}
