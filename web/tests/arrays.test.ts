import { describe, expect, test } from 'vitest';
import { decodeNumbers, gunzip, readMaps } from '../src/bundle/arrays';
import { Cache } from '../src/bundle/cache';
import { Segments } from '../src/bundle/segments';
import type { ArrayEntry } from '../src/bundle/types';

const entry = (changes: Partial<ArrayEntry>): ArrayEntry => ({
  name: 'a',
  dtype: 'f32',
  shape: [3],
  codec: 'gzip',
  offset: 0,
  length: 0,
  ...changes,
});
const raw = (array: ArrayBufferView) =>
  new Uint8Array(array.buffer.slice(0) as ArrayBuffer, array.byteOffset, array.byteLength);
const zipped = async (array: ArrayBufferView) => {
  const stream = new Blob([raw(array)]).stream().pipeThrough(new CompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
};

describe('numbers', () => {
  test.each([
    ['f32', Float32Array.of(1.5, -2, 3e-9)],
    ['i8', Int8Array.of(-128, 0, 127)],
    ['i16', Int16Array.of(-32768, 1, 32767)],
    ['u16', Uint16Array.of(0, 1, 65535)],
    ['i32', Int32Array.of(-1, 0, 2 ** 30)],
    ['u8', Uint8Array.of(0, 1, 255)],
  ] as const)('reads %s, packed or not', async (dtype, array) => {
    expect(await decodeNumbers(entry({ dtype }), await zipped(array))).toEqual(array);
    expect(await decodeNumbers(entry({ dtype, codec: 'none' }), raw(array))).toEqual(array);
  });

  test('refuses what does not fill the shape', async () => {
    const bytes = await zipped(Float32Array.of(1, 2));
    await expect(decodeNumbers(entry({}), bytes)).rejects.toThrow('expected');
    await expect(decodeNumbers(entry({ codec: 'none' }), new Uint8Array(5))).rejects.toThrow('fill');
  });

  test('stops at more than is expected', async () => {
    await expect(gunzip(await zipped(new Uint8Array(1e6)), 1000)).rejects.toThrow('more than');
  });

  test('refuses damage', async () => {
    const bytes = await zipped(Float32Array.of(1, 2, 3));
    bytes[12]! ^= 255;
    await expect(decodeNumbers(entry({}), bytes)).rejects.toThrow();
  });
});

test('maps are read from the colours of pictures', () => {
  // Four maps of two frames, 1 x 2: maps 0 to 2 in pictures 0 and 1, map 3 in 2 and 3.
  const shape = [4, 2, 1, 2];
  const maps = Int8Array.from({ length: 16 }, (_, i) => 15 * i - 127);
  const at = (map: number, frame: number, x: number) => maps[(map * 2 + frame) * 2 + x] ?? 0;
  const out = new Int8Array(16);
  for (let row = 0; row < 2; row++) {
    const colours = [0, 1].flatMap((frame) =>
      [0, 1].flatMap((x) => [...[0, 1, 2].map((c) => at(3 * row + c, frame, x) + 128), 255]),
    );
    const rgba = Uint8ClampedArray.from(colours);
    for (let column = 0; column < 2; column++)
      readMaps(rgba, 4, column, 2 * row + column, shape, out);
  }
  expect(out).toEqual(maps);
});

describe('segments', () => {
  const split = [3, 5, 2].map((n, i) => entry({ name: `a#${i}`, shape: [4, n], axis: 1 }));

  test('find the entry that holds an index', () => {
    const segments = new Segments(split, 1);
    expect(segments.length).toBe(10);
    expect([0, 2, 3, 7, 8, 9].map((i) => segments.find(i))).toEqual([
      { segment: 0, index: 0 },
      { segment: 0, index: 2 },
      { segment: 1, index: 0 },
      { segment: 1, index: 4 },
      { segment: 2, index: 0 },
      { segment: 2, index: 1 },
    ]);
    expect(() => segments.find(10)).toThrow(RangeError);
    expect(() => segments.find(-1)).toThrow(RangeError);
  });

  test('refuse another axis', () => {
    expect(() => new Segments(split, 0)).toThrow('axis');
  });
});

describe('cache', () => {
  const make = (n: number) => () => Promise.resolve(n);

  test('makes once, and lets go of the longest unused', async () => {
    const cache = new Cache<number>(10, (n) => n);
    await cache.get('a', make(4));
    await cache.get('b', make(5));
    expect(cache.peek('a')).toBe(4); // now b is the longest unused
    await cache.get('c', make(3));
    expect(cache.peek('b')).toBeUndefined();
    expect([cache.peek('a'), cache.peek('c')]).toEqual([4, 3]);
    expect(await cache.get('a', make(-1))).toBe(4);
    expect(cache.bytes).toBe(7);
  });

  test('keeps the newest whatever its size', async () => {
    const cache = new Cache<number>(10, (n) => n);
    await cache.get('a', make(4));
    await cache.get('b', make(100));
    expect([cache.peek('a'), cache.peek('b')]).toEqual([undefined, 100]);
  });

  test('forgets failures', async () => {
    const cache = new Cache<number>(10, (n) => n);
    await expect(cache.get('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await cache.get('a', make(1))).toBe(1);
  });
});
