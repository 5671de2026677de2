/** What was decoded is kept up to a bound of memory; the longest unused goes first. */

interface Slot<T> {
  value: Promise<T>;
  ready: T | undefined;
  bytes: number;
}

export class Cache<T> {
  #slots = new Map<string, Slot<T>>();

  /** `limit`: bytes as `measure` counts them. The newest value is kept whatever its size. */
  constructor(
    private readonly limit: number,
    private readonly measure: (value: T) => number,
  ) {}

  get bytes(): number {
    let sum = 0;
    for (const slot of this.#slots.values()) sum += slot.bytes;
    return sum;
  }

  /** The value if it is there now. */
  peek(key: string): T | undefined {
    const slot = this.#slots.get(key);
    if (slot?.ready !== undefined) this.#touch(key, slot);
    return slot?.ready;
  }

  /** The value, made on first use; a failure is not kept, so a later call tries again. */
  get(key: string, make: () => Promise<T>): Promise<T> {
    const found = this.#slots.get(key);
    if (found) {
      this.#touch(key, found);
      return found.value;
    }
    const slot: Slot<T> = { value: make(), ready: undefined, bytes: 0 };
    this.#slots.set(key, slot);
    slot.value.then(
      (value) => {
        slot.ready = value;
        slot.bytes = this.measure(value);
        this.#shrink();
      },
      () => this.#slots.delete(key),
    );
    return slot.value;
  }

  #touch(key: string, slot: Slot<T>): void {
    this.#slots.delete(key);
    this.#slots.set(key, slot);
  }

  #shrink(): void {
    let sum = this.bytes;
    for (const key of [...this.#slots.keys()].slice(0, -1)) {
      if (sum <= this.limit) return;
      const slot = this.#slots.get(key)!;
      if (slot.ready === undefined) continue;
      sum -= slot.bytes;
      this.#slots.delete(key);
    }
  }
}
