/** What the page shows, as plain values: for tests, and for the console. */

import type { Found } from './live_model';
import type { View } from './view.svelte';
import type { WhatIf } from './what_if.svelte';

export interface Drawn {
  sign: string;
  height: number;
  width: number;
  /** Not premultiplied. */
  rgba: Uint8ClampedArray;
}

/** The pictures drawn last, by row; filled by the rows themselves. */
export const drawn = new Map<number, { s: number; layer: string; pictures: Map<string, Drawn> }>();

/** The frame that the first row drew last, over all trajectories. */
export function lastDrawn(): number | null {
  return drawn.values().next().value?.s ?? null;
}

function plain({ edited, original, factors, before, after, error, changed, computing }: WhatIf): unknown {
  const found = (of: Found | null) =>
    of && {
      value: of.outputs.value,
      logits: [...of.outputs.logits],
      ...(of.attribution && {
        maps: [...of.attribution.maps],
        totals: [...of.attribution.totals],
        change: of.attribution.change,
      }),
      ms: [of.outputs.ms, of.attribution?.ms ?? null],
    };
  return {
    original: original && [...original.data],
    edited: edited && [...edited.data],
    factors: [...factors],
    before: found(before),
    after: found(after),
    error: error?.message ?? null,
    changed,
    computing,
  };
}

export function inspect(view: View): unknown {
  const state = view.state;
  return {
    ...state,
    s: view.s,
    length: view.length,
    playing: view.player.direction,
    fps: view.player.fps,
    isolated: view.isolated,
    strength: view.strength,
    probe: view.probe && { ...view.probe },
    opened: view.opened,
    notices: [...view.notices],
    whatIf: view.whatIf && plain(view.whatIf),
    address: view.address,
    drawn: view.rows.map(({ key }) => {
      const row = drawn.get(key);
      return row ? { ...row, pictures: [...row.pictures.values()].map((p) => ({ ...p, rgba: [...p.rgba] })) } : null;
    }),
  };
}
