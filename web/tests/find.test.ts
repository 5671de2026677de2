import { expect, test } from 'vitest';
import { best, failures, mostAttribution, passes, valueChanges } from '../src/arithmetic/find';
import type { TrajectoryInfo } from '../src/bundle/types';

const trajectory = (length: number, episodes: TrajectoryInfo['episodes'] = []): TrajectoryInfo => ({
  length,
  title: '',
  episodes,
});
const two = [trajectory(20), trajectory(10)];

test('the best come first, one for each neighbourhood', () => {
  const score = new Float32Array(30);
  score[3] = 5;
  score[4] = 6; // beside 3, and better
  score[12] = 6; // equal, but later
  score[19] = 4; // near 12
  score[20] = 1; // near 19 in number, but of another trajectory
  expect(best(two, (s) => score[s] || NaN, 9)).toEqual([
    { trajectory: 0, frame: 4, score: 6 },
    { trajectory: 0, frame: 12, score: 6 },
    { trajectory: 1, frame: 0, score: 1 },
  ]);
  expect(best(two, (s) => score[s] || NaN, 1).length).toBe(1);
});

test('most attribution has the sign asked for', () => {
  const totals = new Float32Array(60); // two maps
  totals[2 * 5 + 1] = 2;
  totals[2 * 25 + 1] = -3;
  totals[2 * 8] = 9; // of another feature
  expect(mostAttribution(two, totals, 2, 1, 1, 5)).toEqual([{ trajectory: 0, frame: 5, score: 2 }]);
  expect(mostAttribution(two, totals, 2, 1, -1, 5)).toEqual([
    { trajectory: 1, frame: 5, score: -3 },
  ]);
});

test('falls and rises lie within episodes, each thinned apart', () => {
  const values = new Float32Array(30).fill(1);
  values[10] = 0.25; // falls at 10, and recovers at once
  values.fill(1.5, 11);
  values.fill(5, 15, 20); // rises at 15, where an episode begins; ends with the trajectory
  values.fill(1, 20);
  const firsts = new Uint8Array(30);
  firsts[0] = firsts[15] = 1;
  expect(valueChanges(two, values, firsts, -1, 5)).toEqual([
    { trajectory: 0, frame: 10, score: -0.75 },
  ]);
  expect(valueChanges(two, values, firsts, 1, 5)).toEqual([
    { trajectory: 0, frame: 11, score: 1.25 },
  ]);
});

test('frames are filtered by action and by outcome', () => {
  const episode = { level_seed: null };
  const trajectories = [
    trajectory(20, [
      { ...episode, start: 0, end: 7, success: true },
      { ...episode, start: 7, end: 15, success: false },
      { ...episode, start: 15, end: null, success: null },
    ]),
  ];
  const actions = Uint8Array.from({ length: 20 }, (_, i) => i % 2);
  const frames = (filter: Parameters<typeof passes>[2]) =>
    [...actions.keys()].filter(passes(trajectories, actions, filter));
  expect(frames({ action: null, outcome: 'any' })).toHaveLength(20);
  expect(frames({ action: 1, outcome: 'succeeded' })).toEqual([1, 3, 5]);
  expect(frames({ action: null, outcome: 'failed' })).toEqual([7, 8, 9, 10, 11, 12, 13, 14]);
  expect(frames({ action: 0, outcome: 'unfinished' })).toEqual([16, 18]);
});

test('failures are the last frames of failed episodes', () => {
  const episode = { level_seed: null };
  const trajectories = [
    trajectory(20, [
      { ...episode, start: 0, end: 7, success: true },
      { ...episode, start: 7, end: 15, success: false },
      { ...episode, start: 15, end: null, success: null },
    ]),
    trajectory(10, [{ ...episode, start: 0, end: 10, success: false }]),
  ];
  const values = Float32Array.from({ length: 30 }, (_, i) => i);
  expect(failures(trajectories, values)).toEqual([
    { trajectory: 0, frame: 14, score: 14 },
    { trajectory: 1, frame: 9, score: 29 },
  ]);
});
