/** Frames worth a look, among all trajectories. */

import type { TrajectoryInfo } from '../bundle/types';

export interface Found {
  trajectory: number;
  frame: number;
  score: number;
}

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

/** Frames of the most positive (sign 1) or most negative (sign −1) total of a feature. */
export function mostAttribution(
  trajectories: readonly TrajectoryInfo[],
  totals: Float32Array,
  nMaps: number,
  feature: number,
  sign: 1 | -1,
  count: number,
): Found[] {
  return best(
    trajectories,
    (s) => {
      const value = sign * totals[s * nMaps + feature]!;
      return value > 0 ? value : NaN;
    },
    count,
  ).map((f) => ({ ...f, score: sign * f.score }));
}

/**
 * Frames at which the value jumped from the frame before, within one episode.
 *
 * The score is the change, signed; the largest changes of either sign come first.
 */
export function valueJumps(
  trajectories: readonly TrajectoryInfo[],
  values: Float32Array,
  firsts: Uint8Array,
  count: number,
): Found[] {
  const starts = new Set<number>();
  let start = 0;
  for (const { length } of trajectories) {
    starts.add(start);
    start += length;
  }
  const change = (s: number) =>
    firsts[s] || starts.has(s) ? NaN : values[s]! - values[s - 1]!;
  return best(trajectories, (s) => Math.abs(change(s)), count).map((f) => {
    const s = startOf(trajectories, f.trajectory) + f.frame;
    return { ...f, score: change(s) };
  });
}

/** The last frame of each episode that failed; the score is the value function there. */
export function failures(trajectories: readonly TrajectoryInfo[], values: Float32Array): Found[] {
  return trajectories.flatMap(({ episodes }, trajectory) =>
    episodes
      .filter((e) => e.success === false && e.end !== null)
      .map((e) => {
        const frame = e.end! - 1;
        return { trajectory, frame, score: values[startOf(trajectories, trajectory) + frame]! };
      }),
  );
}

function startOf(trajectories: readonly TrajectoryInfo[], trajectory: number): number {
  let start = 0;
  for (let t = 0; t < trajectory; t++) start += trajectories[t]!.length;
  return start;
}
