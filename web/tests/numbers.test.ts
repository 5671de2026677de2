import { expect, test } from 'vitest';
import { bytes, extent, format, percent, roundUp } from '../src/arithmetic/numbers';
import { actionGroups, entropy, softmax } from '../src/arithmetic/policy';

test.each([
  [0, '0'],
  [1, '1.00'],
  [12.345, '12.3'],
  [12345, '12345'],
  [123456, '1.2e5'],
  [-0.5, '−0.500'],
  [0.00123, '0.00123'],
  [-1.5e-7, '−1.5e−7'],
  [NaN, '–'],
  [Infinity, '–'],
])('%f reads %s', (value, text) => expect(format(value)).toBe(text));

test('a sign when asked for', () => {
  expect(format(0.25, { sign: true })).toBe('+0.250');
  expect(format(-0.25, { sign: true })).toBe('−0.250');
});

test.each([
  [0.03, 0.03],
  [0.031, 0.05],
  [7.6, 10],
  [1, 1],
  [120, 150],
  [0, 1],
])('%f rounds up to %f', (value, rounded) => expect(roundUp(value)).toBeCloseTo(rounded, 12));

test('percents and bytes', () => {
  expect([0.051, 0.5, 0, 4e-4, 5e-4].map(percent)).toEqual(['5.1 %', '50 %', '0 %', '< 0.1 %', '0.1 %']);
  expect([bytes(2500), bytes(2.55e6), bytes(25.4e6)]).toEqual(['3 kB', '2.5 MB', '25 MB']);
});

test('extents', () => {
  expect(extent([9, -1, 4, 99], 0, 3)).toEqual([-1, 9]);
  expect(extent([], 0, 0)).toEqual([0, 0]);
});

test('softmax of large logits', () => {
  const p = softmax([1000, 1000, 0]);
  expect([...p]).toEqual([0.5, 0.5, 0]);
  expect(entropy(p)).toBeCloseTo(Math.LN2, 12);
});

test('groups share a direction', () => {
  const combos = [['LEFT', 'DOWN'], ['LEFT'], [], ['UP'], ['D'], ['RIGHT', 'UP']];
  expect(actionGroups(combos)).toEqual([
    { name: 'left', actions: [0, 1] },
    { name: 'up', actions: [3, 5] },
    { name: 'no direction', actions: [2, 4] },
  ]);
});
