import { describe, expect, it } from 'vitest';
import {
  applyChanges,
  brush,
  cutOut,
  encodeChanges,
  erase,
  fill,
  paste,
  pixelsOf,
  toRgba,
  type Picture,
} from '../src/arithmetic/editing';

function picture(height: number, width: number, value: (y: number, x: number, c: number) => number, channels = 3): Picture {
  const data = new Uint8Array(height * width * channels);
  for (let i = 0; i < data.length; i++) {
    const p = Math.floor(i / channels);
    data[i] = value(Math.floor(p / width), p % width, i % channels);
  }
  return { height, width, channels, data };
}

describe('editing', () => {
  it('erases an object from an even or sloping background', () => {
    const slope = picture(16, 16, (_, x, c) => 10 * x + c);
    const box = { top: 5, left: 4, height: 6, width: 5 };
    const covered = fill(slope, pixelsOf(slope, box), [255, 0, 0]);
    const cleared = erase(covered, pixelsOf(slope, box));
    cleared.data.forEach((v, i) => expect(Math.abs(v - slope.data[i]!)).toBeLessThanOrEqual(2));
    expect(covered.data).not.toEqual(slope.data);
  });

  it('erases at the edge, and leaves a picture that is covered wholly', () => {
    const even = picture(4, 4, () => 7);
    expect(erase(even, [0, 1]).data).toEqual(even.data);
    expect(erase(even, pixelsOf(even, { top: 0, left: 0, height: 4, width: 4 })).data).toEqual(even.data);
  });

  it('puts changes into an address and takes them out', () => {
    const even = picture(8, 300, (y, x, c) => (7 * y + x + c) % 256);
    const some = fill(fill(even, [0, 1, 2, 700, 2399], [255, 0, 3]), [5], [9, 9, 9]);
    const text = encodeChanges(even, some)!;
    expect(text).toMatch(/^[\w-]+$/);
    expect(text.length).toBeLessThan(50);
    expect(applyChanges(even, text)).toEqual(some);
    expect(encodeChanges(even, even)).toBe('');
    expect(applyChanges(even, '')).toEqual(even);
    const row = pixelsOf(even, { top: 1, left: 0, height: 6, width: 300 });
    const many = fill(even, row, [1, 2, 3]);
    expect(applyChanges(even, encodeChanges(even, many)!)).toEqual(many);
    expect(encodeChanges(even, fill(many, [0, 1, ...row.map((p) => p + 300)], [5, 6, 7]))).toBeNull();
  });

  it('takes no changes of another picture', () => {
    const [small, large] = [picture(4, 4, () => 1), picture(40, 40, () => 1)];
    const text = encodeChanges(large, fill(large, [1000], [9, 9, 9]))!;
    expect(applyChanges(small, text)).toBeNull();
    for (const wrong of ['*', 'AAA', 'A', '_'.repeat(9)]) expect(applyChanges(small, wrong)).toBeNull();
  });

  it('copies and pastes, and loses what lies beyond the edge', () => {
    const source = picture(8, 8, (y, x, c) => 16 * y + x + c);
    const patch = cutOut(source, { top: -1, left: 6, height: 3, width: 5 });
    expect([patch.height, patch.width]).toEqual([2, 2]);
    const pasted = paste(picture(8, 8, () => 0), patch, 7, -1);
    expect(pasted.data[7 * 8 * 3]).toBe(source.data[(0 * 8 + 7) * 3]);
    expect(pasted.data.filter((v) => v !== 0).length).toBe(3);
  });

  it('paints with a round brush', () => {
    const blank = picture(9, 9, () => 0);
    expect(brush(blank, 4, 4, 1)).toEqual([4 * 9 + 4]);
    expect(brush(blank, 4, 4, 5).length).toBe(21); // without its corners
    expect(brush(blank, 0, 0, 3).length).toBe(4);
  });

  it('shows the last frame of a stack', () => {
    const grey = picture(1, 2, (_, x, c) => 10 * x + c, 4);
    expect([...toRgba(grey)]).toEqual([3, 3, 3, 255, 13, 13, 13, 255]);
    const two = picture(1, 1, (_y, _x, c) => c, 6);
    expect([...toRgba(two)]).toEqual([3, 4, 5, 255]);
    expect([...fill(two, [0], [9, 8, 7]).data]).toEqual([9, 8, 7, 9, 8, 7]);
  });
});
