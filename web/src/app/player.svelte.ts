/** Plays frames in time, either way. */

import { clamp } from '../arithmetic/numbers';

export type Direction = -1 | 0 | 1;

export interface Reel {
  frame: number;
  readonly length: number;
}

export const SLOWEST = 1;
export const FASTEST = 120;

export class Player {
  direction: Direction = $state(0);
  /** Frames per second. */
  fps = $state(12);
  #request = 0;
  #since = 0;

  constructor(private readonly reel: Reel) {}

  get playing(): boolean {
    return this.direction !== 0;
  }

  play(direction: -1 | 1): void {
    const { reel } = this;
    const last = reel.length - 1;
    if (direction === 1 && reel.frame >= last) reel.frame = 0;
    else if (direction === -1 && reel.frame <= 0) reel.frame = last;
    this.direction = direction;
    this.#since = performance.now();
    cancelAnimationFrame(this.#request);
    this.#request = requestAnimationFrame(this.#tick);
  }

  pause(): void {
    this.direction = 0;
    cancelAnimationFrame(this.#request);
  }

  /** Pauses, or plays on in the given direction. */
  toggle(direction: -1 | 1 = 1): void {
    if (this.direction === direction) this.pause();
    else this.play(direction);
  }

  step(by: number): void {
    this.pause();
    this.seek(this.reel.frame + by);
  }

  seek(frame: number): void {
    this.reel.frame = clamp(Math.round(frame), 0, this.reel.length - 1);
  }

  #tick = (now: number): void => {
    if (!this.direction) return;
    // A late picture skips frames rather than slowing the play down.
    const due = Math.floor(((now - this.#since) * this.fps) / 1000);
    if (due > 0) {
      this.#since += (due * 1000) / this.fps;
      const target = this.reel.frame + due * this.direction;
      this.seek(target);
      if (target <= 0 ? this.direction < 0 : target >= this.reel.length - 1) return this.pause();
    }
    this.#request = requestAnimationFrame(this.#tick);
  };
}
