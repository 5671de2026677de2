/** What the page shows, as plain values: for tests, and for the console. */

import type { View } from './view.svelte';

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
    address: view.address,
    drawn: view.rows.map(({ key }) => {
      const row = drawn.get(key);
      return row ? { ...row, pictures: [...row.pictures.values()].map((p) => ({ ...p, rgba: [...p.rgba] })) } : null;
    }),
  };
}
