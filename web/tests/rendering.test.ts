import { describe, expect, test } from 'vitest';
import { channelOrFeatureColours, featureColours, type Rgb } from '../src/arithmetic/colours';
import { brightnessToOpacity, Renderer, toGreyscale } from '../src/arithmetic/rendering';
import { disc, smooth } from '../src/arithmetic/smoothing';

const RED: Rgb = [1, 0, 0];
const BLUE: Rgb = [0, 0, 1];
const NONE = disc(0);

describe('disc', () => {
  test('is exp(-distance) within its radius', () => {
    const { dy, dx, weight } = disc(2);
    const at = (y: number, x: number) => weight[dy.findIndex((v, i) => v === y && dx[i] === x)];
    expect(weight.length).toBe(13);
    expect(at(0, 0)).toBe(1);
    expect(at(-2, 0)).toBeCloseTo(Math.exp(-2), 7);
    expect(at(1, -1)).toBeCloseTo(Math.exp(-Math.SQRT2), 7);
  });

  test("has the article's 149 taps and sum at radius 7", () => {
    const { weight } = disc(7);
    expect(weight.length).toBe(149);
    expect(weight.reduce((a, b) => a + b)).toBeCloseTo(6.456586617508046, 5);
  });
});

describe('smoothing', () => {
  const direct = (image: Float32Array, height: number, width: number, radius: number) => {
    const out = new Float32Array(image.length);
    const { dy, dx, weight } = disc(radius);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        for (let i = 0; i < weight.length; i++) {
          const [fromY, fromX] = [y - dy[i]!, x - dx[i]!];
          if (fromY < 0 || fromY >= height || fromX < 0 || fromX >= width) continue;
          for (let c = 0; c < 3; c++)
            out[(y * width + x) * 3 + c]! += weight[i]! * image[(fromY * width + fromX) * 3 + c]!;
        }
    return out;
  };

  test.each([
    [9, 13, 7],
    [5, 4, 12],
    [8, 8, 1],
  ])('of %i by %i with radius %i equals the sum over taps', (height, width, radius) => {
    const image = Float32Array.from({ length: height * width * 3 }, (_, i) =>
      (i * 7919) % 11 < 3 ? ((i * 104729) % 97) / 97 : 0,
    );
    const out = new Float32Array(image.length);
    smooth(image, height, width, disc(radius), out);
    const expected = direct(image, height, width, radius);
    out.forEach((v, i) => expect(v).toBeCloseTo(expected[i]!, 5));
  });
});

describe('rendering', () => {
  const render = (maps: number[], options: object = {}) =>
    new Renderer(1, 2).render(Float32Array.from(maps), {
      sign: 'positive',
      scale: 1,
      colours: [RED, BLUE],
      filter: NONE,
      ...options,
    });

  test('keeps the signs apart', () => {
    const maps = [0.5, -0.5, 0, 0];
    expect([...render(maps)]).toEqual([255, 0, 0, 128, 0, 0, 0, 0]);
    expect([...render(maps, { sign: 'negative' })]).toEqual([0, 0, 0, 0, 255, 0, 0, 128]);
    expect([...render(maps, { sign: 'both' })]).toEqual([255, 0, 0, 128, 255, 0, 0, 128]);
  });

  test('scales, and hides maps without a colour', () => {
    expect([...render([1, 0, 1, 0], { scale: 4, colours: [RED, null] })].slice(0, 4)).toEqual([
      255, 0, 0, 64,
    ]);
  });

  test('keeps hues of light brighter than 1', () => {
    const dim = render([0.12, 0, 0.16, 0]).slice(0, 4);
    const bright = render([60, 0, 80, 0]).slice(0, 4);
    expect([...dim]).toEqual([153, 0, 204, 51]); // norm 0.2
    expect([...bright]).toEqual([153, 0, 204, 255]);
  });

  test('shows nothing where there is nothing', () => {
    const rgba = new Uint8ClampedArray(4);
    brightnessToOpacity(new Float32Array(3), rgba);
    expect([...rgba]).toEqual([0, 0, 0, 0]);
  });

  test('turns observations grey', () => {
    const rgba = Uint8ClampedArray.of(255, 0, 0, 255, 10, 10, 10, 255);
    toGreyscale(rgba);
    expect([...rgba]).toEqual([53, 53, 53, 255, 7, 7, 7, 255]);
  });
});

describe('colours', () => {
  test("are the article's hues, of unit norm", () => {
    // As the original computes them for eight features.
    const expected = [
      [1, 0, 0],
      [0.74490696, 0.6671684, 0],
      [0.5334021, 0.8458618, 0],
      [0, 0.95656484, 0.29151967],
      [0, 0.70710677, 0.70710677],
      [0, 0.29151967, 0.95656484],
      [0.5334021, 0, 0.8458618],
      [0.74490696, 0, 0.6671684],
    ];
    featureColours(8, 'hues').forEach((colour, i) =>
      colour.forEach((v, c) => expect(v).toBeCloseTo(expected[i]![c]!, 6)),
    );
  });

  test('end with grey for the residual; channels are themselves', () => {
    const colours = channelOrFeatureColours('attribution', 5, 'hues');
    expect(colours.length).toBe(6);
    expect(colours[5]![0]).toBe(colours[5]![2]);
    expect(channelOrFeatureColours('gradient', 3, 'safe')).toEqual([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
  });
});
