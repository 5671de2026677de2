/** An array that is split along one axis: which entry holds an index. */

import type { ArrayEntry } from './types';

export class Segments {
  /** Where each entry begins. */
  readonly starts: number[] = [];
  readonly length: number;

  /** `axis`: the axis that is indexed, should the array be one whole entry. */
  constructor(
    readonly entries: ArrayEntry[],
    axis: number,
  ) {
    let length = 0;
    for (const entry of entries) {
      const along = entry.axis ?? axis;
      if (along !== axis) throw new Error(`${entry.name} is split along axis ${along}, not ${axis}`);
      this.starts.push(length);
      length += entry.shape[axis]!;
    }
    this.length = length;
  }

  find(i: number): { segment: number; index: number } {
    if (!(i >= 0 && i < this.length)) throw new RangeError(`${i} is outside 0–${this.length - 1}`);
    let low = 0;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.starts[middle]! <= i) low = middle;
      else high = middle - 1;
    }
    return { segment: low, index: i - this.starts[low]! };
  }
}
