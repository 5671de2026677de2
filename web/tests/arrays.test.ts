import { describe, expect, test } from 'vitest';
import { decodeNumbers, gunzip, readMap } from '../src/bundle/arrays';
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

test('a map is read from the colours of its sheet', () => {
  // Seven frames of 2 x 2 in three pictures, two of them in the first row of the sheet.
  const frames = 7;
  const at = (frame: number, y: number, x: number) => (frame < frames ? 4 * frame + 2 * y + x - 9 : 0);
  const sheet = new Uint8ClampedArray(4 * 4 * 4);
  for (let row = 0; row < 4; row++)
    for (let column = 0; column < 4; column++) {
      const picture = 2 * (row >> 1) + (column >> 1);
      const colours = [0, 1, 2].map((c) => 128 + at(3 * picture + c, row & 1, column & 1));
      sheet.set([...colours, 255], 4 * (4 * row + column));
    }
  const out = new Int8Array(30).fill(99);
  readMap(sheet, 2, [frames, 2, 2], out, 1);
  expect([...out]).toEqual([99, ...Array.from({ length: 28 }, (_, i) => i - 9), 99]);
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
