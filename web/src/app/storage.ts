/** The browser's store, which may be full or forbidden; nothing here needs it. */

export function readStore<T>(key: string, fallback: T): T {
  try {
    const text = localStorage.getItem(`lucid-rl:${key}`);
    return text === null ? fallback : (JSON.parse(text) as T);
  } catch {
    return fallback;
  }
}

export function writeStore(key: string, value: unknown): void {
  try {
    localStorage.setItem(`lucid-rl:${key}`, JSON.stringify(value));
  } catch {
    // The page works without; the value lasts until it is closed.
  }
}
