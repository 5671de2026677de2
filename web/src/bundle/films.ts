/** Films of what would have happened: two agents that played on from one moment. */

import type { Cache } from './cache';
import type { Sheet } from './arrays';
import { PartError, type Part } from './parts';
import { Pictures } from './pictures';

export interface FilmedAgent {
  name: string;
  failed: { count: number; n: number; low: number; high: number };
  causes: Record<string, number>;
  /** Number of its film. */
  film: number;
  /** How that sample ends: "completed" or a cause of failure. */
  outcome: string;
  /** Whether the film ends before that. */
  cut: boolean;
}

export interface PlayedOn {
  trajectory: number;
  frame: number;
  /** What the changed agent does not see, or its name. */
  change: string;
  n_samples: number;
  original: FilmedAgent;
  changed: FilmedAgent;
  p_value: number;
}

export class Films {
  readonly moments: PlayedOn[];
  readonly pictures: Pictures;
  #starts: number[] = [0];

  constructor(part: Part, sheets: Cache<Sheet>) {
    const { moments } = part.meta as { moments?: PlayedOn[] };
    if (!Array.isArray(moments)) throw new PartError(part.name, 'data/what_if.js lists no moments.');
    this.moments = moments;
    this.pictures = new Pictures(part, 'observations', sheets);
    for (const { shape } of part.entries('observations'))
      this.#starts.push(this.#starts.at(-1)! + shape[0]!);
  }

  /** Frames of a film. */
  length(film: number): number {
    return this.#starts[film + 1]! - this.#starts[film]!;
  }

  /** Number of a film's picture; its last where it is over. */
  picture(film: number, step: number): number {
    return this.#starts[film]! + Math.min(step, this.length(film) - 1);
  }
}
