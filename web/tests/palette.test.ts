import { expect, test } from 'vitest';
import { featureColours, RESIDUAL_COLOUR, type Palette, type Rgb } from '../src/arithmetic/colours';

/** Machado, Oliveira and Fernandes 2009, severity 1, in linear light. */
const VISIONS: number[][][] = [
  [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
];
const TO_XYZ = [
  [0.4124564, 0.3575761, 0.1804375],
  [0.2126729, 0.7151522, 0.072175],
  [0.0193339, 0.119192, 0.9503041],
];
const WHITE = [0.95047, 1, 1.08883];

const times = (m: number[][], v: number[]) => m.map((r) => r.reduce((a, x, i) => a + x * v[i]!, 0));

function lab(colour: Rgb, vision: number[][]): number[] {
  const linear = colour.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  const seen = times(vision, linear).map((v) => Math.min(Math.max(v, 0), 1));
  const [x, y, z] = times(TO_XYZ, seen).map((v, i) => {
    const t = v / WHITE[i]!;
    return t > 216 / 24389 ? Math.cbrt(t) : ((24389 / 27) * t + 16) / 116;
  }) as [number, number, number];
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

/** The smallest distance between two of the colours (and grey), under any vision. */
function apart(n: number, palette: Palette): number {
  const colours = [...featureColours(n, palette), RESIDUAL_COLOUR];
  let smallest = Infinity;
  for (const vision of VISIONS) {
    const seen = colours.map((c) => lab(c, vision));
    seen.forEach((a, i) =>
      seen.slice(i + 1).forEach((b) => {
        smallest = Math.min(smallest, Math.hypot(...a.map((v, c) => v - b[c]!)));
      }),
    );
  }
  return smallest;
}

test.each([2, 3, 4, 5, 6, 7, 8])('the safe palette keeps %i features apart', (n) => {
  expect(apart(n, 'safe')).toBeGreaterThan(20);
});

test('better than hues do', () => {
  expect(apart(8, 'safe')).toBeGreaterThan(2 * apart(8, 'hues'));
});

test('every colour has unit norm', () => {
  for (const palette of ['safe', 'hues'] as const)
    for (const n of [1, 4, 8, 16])
      for (const colour of featureColours(n, palette))
        expect(Math.hypot(...colour)).toBeCloseTo(1, 12);
});

test('more features than safe colours get hues', () => {
  expect(featureColours(9, 'safe')).toEqual(featureColours(9, 'hues'));
});
