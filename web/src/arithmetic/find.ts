/** Frames worth a look, among all trajectories. */

import type { TrajectoryInfo } from '../bundle/types';

export interface Found {
  trajectory: number;
  frame: number;
  score: number;
}

/** Which frames count: those with an action, of episodes with an outcome. */
export interface Filter {
  action: number | null;
  outcome: Outcome;
}

export const OUTCOMES = ['any', 'succeeded', 'failed', 'unfinished'] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Frames closer than this to a better one are the same find. */
const APART = 8;

/**
 * The frames of largest score, best first, one for each neighbourhood.
 *
 * `score(s)` of a frame, counted over all trajectories; NaN leaves it out.
 */
export function best(
  trajectories: readonly TrajectoryInfo[],
  score: (s: number) => number,
  count: number,
): Found[] {
  const all: { trajectory: number; frame: number; s: number; score: number }[] = [];
  let start = 0;
  trajectories.forEach(({ length }, trajectory) => {
    for (let frame = 0; frame < length; frame++) {
      const value = score(start + frame);
      if (!Number.isNaN(value)) all.push({ trajectory, frame, s: start + frame, score: value });
    }
    start += length;
  });
  all.sort((a, b) => b.score - a.score || a.s - b.s);
  const found: Found[] = [];
  for (const { trajectory, frame, score: value } of all) {
    if (found.length === count) break;
    const near = found.some(
      (f) => f.trajectory === trajectory && Math.abs(f.frame - frame) < APART,
    );
    if (!near) found.push({ trajectory, frame, score: value });
  }
  return found;
}

/** Frames of the most positive (1) or negative (−1) total of a feature, or of either (0). */
export function mostAttribution(
  trajectories: readonly TrajectoryInfo[],
  totals: Float32Array,
  nMaps: number,
  feature: number,
  sign: 1 | -1 | 0,
  count: number,
  counts: (s: number) => boolean = () => true,
): Found[] {
  const total = (s: number) => totals[s * nMaps + feature]!;
  const found = best(
    trajectories,
    (s) => {
      const value = sign ? sign * total(s) : Math.abs(total(s));
      return value > 0 && counts(s) ? value : NaN;
    },
    count,
  );
  return found.map((f) => ({ ...f, score: total(startOf(trajectories, f.trajectory) + f.frame) }));
}

/**
 * Frames at which the value fell (sign −1) or rose (1) most from the frame before.
 *
 * The score is the change. Changes from one episode to the next are left out; falls and
 * rises are lists of their own, so that a recovery does not hide the fall before it.
 */
export function valueChanges(
  trajectories: readonly TrajectoryInfo[],
  values: Float32Array,
  firsts: Uint8Array,
  sign: 1 | -1,
  count: number,
  counts: (s: number) => boolean = () => true,
): Found[] {
  const starts = new Set<number>();
  let start = 0;
  for (const { length } of trajectories) {
    starts.add(start);
    start += length;
  }
  const found = best(
    trajectories,
    (s) => {
      if (firsts[s] || starts.has(s) || !counts(s)) return NaN;
      const change = sign * (values[s]! - values[s - 1]!);
      return change > 0 ? change : NaN;
    },
    count,
  );
  return found.map((f) => ({ ...f, score: sign * f.score }));
}

/** The last frame of each episode that failed; the score is the value function there. */
export function failures(
  trajectories: readonly TrajectoryInfo[],
  values: Float32Array,
  counts: (s: number) => boolean = () => true,
): Found[] {
  return trajectories.flatMap(({ episodes }, trajectory) =>
    episodes
      .filter((e) => e.success === false && e.end !== null)
      .map((e) => ({ trajectory, frame: e.end! - 1, s: startOf(trajectories, trajectory) + e.end! - 1 }))
      .filter(({ s }) => counts(s))
      .map(({ s, ...place }) => ({ ...place, score: values[s]! })),
  );
}

/** Whether a frame passes a filter, by its index over all trajectories. */
export function passes(
  trajectories: readonly TrajectoryInfo[],
  actions: Uint8Array,
  { action, outcome }: Filter,
): (s: number) => boolean {
  const known = new Uint8Array(actions.length);
  let start = 0;
  for (const { length, episodes } of trajectories) {
    for (const { start: from, end, success } of episodes) {
      const its: Outcome =
        end === null ? 'unfinished' : success === null ? 'any' : success ? 'succeeded' : 'failed';
      if (outcome === 'any' || its === outcome)
        known.fill(1, start + from, start + (end ?? length));
    }
    start += length;
  }
  return (s) => known[s] === 1 && (action === null || actions[s] === action);
}

function startOf(trajectories: readonly TrajectoryInfo[], trajectory: number): number {
  let start = 0;
  for (let t = 0; t < trajectory; t++) start += trajectories[t]!.length;
  return start;
}
