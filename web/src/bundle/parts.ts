/** Finds, loads and checks the parts of a bundle. */

import { crc32, decodeBase64, decodeWindows1252 } from './text';
import { decodeNumbers, decodePictures, type Sheet, type Typed } from './arrays';
import { Cache } from './cache';
import type { ArrayEntry, PartEnvelope, PartHead } from './types';

const FORMAT_VERSION = 3;

const ENCODER = new TextEncoder();

/** Of the data files: each byte is a character. */
const CHARSET = 'windows-1252';

/** A part that cannot be shown; the message is for the reader of the page. */
export class PartError extends Error {
  constructor(
    readonly part: string,
    message: string,
  ) {
    super(message);
    this.name = 'PartError';
  }
}

export function partFile(name: string): string {
  return `data/${name.replaceAll('/', '_')}.js`;
}

export class Part {
  readonly name: string;
  #bytes: Uint8Array<ArrayBuffer>;

  constructor(
    readonly head: PartHead,
    readonly checksum: number,
    bytes: Uint8Array<ArrayBuffer>,
  ) {
    this.name = head.part;
    this.#bytes = bytes;
  }

  get meta(): unknown {
    return this.head.meta;
  }

  get bytes(): number {
    return this.#bytes.length;
  }

  has(name: string): boolean {
    return this.head.arrays.some((e) => e.name === name || e.name.startsWith(`${name}#`));
  }

  /** The entries of an array, in order: one, or those it was split into. */
  entries(name: string): ArrayEntry[] {
    const whole = this.head.arrays.filter((e) => e.name === name);
    const found = whole.length
      ? whole
      : this.head.arrays
          .filter((e) => e.name.startsWith(`${name}#`))
          .sort((a, b) => splitNumber(a) - splitNumber(b));
    if (!found.length) throw this.#damaged(`has no array ${JSON.stringify(name)}`);
    return found;
  }

  async numbers(entry: ArrayEntry): Promise<Typed> {
    return this.#decode(entry, decodeNumbers);
  }

  async pictures(entry: ArrayEntry): Promise<Sheet> {
    return this.#decode(entry, decodePictures);
  }

  /** A whole array of numbers that is not split. */
  async array<T extends Typed>(name: string, shape?: readonly number[]): Promise<T> {
    const entry = this.entries(name)[0]!;
    if (shape && entry.shape.join() !== shape.join())
      throw this.#damaged(`has ${name} of shape [${entry.shape}] where [${shape}] was expected`);
    return (await this.numbers(entry)) as T;
  }

  async #decode<T>(
    entry: ArrayEntry,
    decode: (entry: ArrayEntry, bytes: Uint8Array<ArrayBuffer>) => Promise<T>,
  ): Promise<T> {
    try {
      return await decode(entry, this.#bytes.subarray(entry.offset, entry.offset + entry.length));
    } catch (error) {
      throw this.#damaged(`holds a damaged array ${entry.name}: ${(error as Error).message}`);
    }
  }

  #damaged(what: string): PartError {
    return new PartError(this.name, `${partFile(this.name)} ${what}.`);
  }
}

function splitNumber(entry: ArrayEntry): number {
  return Number(entry.name.slice(entry.name.lastIndexOf('#') + 1));
}

export interface Progress {
  part: string;
  /** Bytes so far, and in all when the server tells. */
  loaded: number;
  total: number | null;
}

interface Delivery {
  envelope: PartEnvelope;
  head: string;
  payload: string;
}

export class Parts {
  /** Told of every change while parts load; null when a part is done. */
  onProgress: (name: string, progress: Progress | null) => void = () => {};
  #parts: Cache<Part>;
  #delivered: Delivery | null = null;

  constructor(
    private readonly page: Document,
    memory: number,
  ) {
    this.#parts = new Cache(memory, (part) => part.bytes);
  }

  /** What each part's script calls; it runs while no other script does. */
  deliver(envelope: PartEnvelope, head: string, payload: string): void {
    this.#delivered = { envelope, head, payload };
  }

  load(name: string): Promise<Part> {
    return this.#parts.get(name, async () => {
      this.onProgress(name, { part: name, loaded: 0, total: null });
      try {
        return this.#open(name, await this.#fetch(name));
      } finally {
        this.onProgress(name, null);
      }
    });
  }

  #inline(): NodeListOf<HTMLScriptElement> {
    return this.page.querySelectorAll('script[type="application/x-lucid-rl"]');
  }

  async #fetch(name: string): Promise<Delivery> {
    const inline = [...this.#inline()];
    if (inline.length) {
      const element = inline.find((e) => e.dataset['part'] === name);
      if (!element) throw new PartError(name, `This file does not hold the part “${name}”.`);
      return parseInline(name, element.textContent ?? '');
    }
    if (this.page.location.protocol.startsWith('http')) return this.#download(name);
    return this.#run(name, partFile(name));
  }

  /**
   * Over HTTP the bytes are fetched first, since scripts tell no progress, and so that
   * the character set does not depend on what the server declares.
   */
  async #download(name: string): Promise<Delivery> {
    const file = partFile(name);
    let response: Response;
    try {
      response = await fetch(file);
    } catch {
      throw missing(name);
    }
    if (!response.ok || !response.body) throw missing(name, `the server says ${response.status}`);
    const length = response.headers.get('content-length');
    const packed = response.headers.get('content-encoding');
    const total = length && !packed ? Number(length) : null;
    const chunks: BlobPart[] = [];
    let loaded = 0;
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      loaded += value.length;
      this.onProgress(name, { part: name, loaded, total });
    }
    const url = URL.createObjectURL(new Blob(chunks, { type: `text/javascript;charset=${CHARSET}` }));
    try {
      return await this.#run(name, url);
    } finally {
      URL.revokeObjectURL(url);
    }
  }

  #run(name: string, source: string): Promise<Delivery> {
    return new Promise((resolve, reject) => {
      const element = this.page.createElement('script');
      element.addEventListener('load', () => {
        const delivered = this.#delivered;
        this.#delivered = null;
        element.remove();
        if (delivered) resolve(delivered);
        else reject(damaged(name, 'it ends before its data do'));
      });
      element.addEventListener('error', () => {
        element.remove();
        reject(missing(name));
      });
      element.charset = CHARSET; // what counts for files on disk
      element.src = source;
      this.page.head.append(element);
    });
  }

  #open(name: string, { envelope, head, payload }: Delivery): Part {
    if (envelope?.version !== FORMAT_VERSION)
      throw new PartError(
        name,
        `${partFile(name)} is of format version ${envelope?.version}; this page reads version ` +
          `${FORMAT_VERSION}. Make the page and its data with one version of lucid_rl.`,
      );
    let bytes: Uint8Array<ArrayBuffer>;
    try {
      const { encoding, bytes: expected } = envelope;
      if (encoding === 'windows-1252') bytes = decodeWindows1252(payload, expected);
      else if (encoding === 'base64') bytes = decodeBase64(payload, expected);
      else throw new Error(`unknown encoding ${JSON.stringify(encoding)}`);
    } catch (error) {
      throw damaged(name, (error as Error).message);
    }
    if (crc32(bytes, crc32(ENCODER.encode(head))) !== envelope.checksum >>> 0)
      throw damaged(name, 'its checksum does not fit its data');
    const header = JSON.parse(head) as PartHead;
    if (header.part !== name)
      throw damaged(name, `it holds the part “${header.part}” in place of “${name}”`);
    return new Part(header, envelope.checksum, bytes);
  }
}

function parseInline(name: string, text: string): Delivery {
  const start = text.search(/\S/);
  const end = text.indexOf('\n', start);
  const second = text.indexOf('\n', end + 1);
  try {
    if (start < 0 || end < 0) throw new Error();
    const envelope = JSON.parse(text.slice(start, end)) as PartEnvelope;
    return { envelope, head: text.slice(end + 1, second), payload: text.slice(second + 1) };
  } catch {
    throw new PartError(name, `The part “${name}” in this file is damaged: it has no header.`);
  }
}

function missing(name: string, why?: string): PartError {
  return new PartError(
    name,
    `${partFile(name)} could not be loaded${why ? ` (${why})` : ''}. ` +
      `It belongs beside index.html, in the folder “data”; copy the whole output folder.`,
  );
}

function damaged(name: string, why: string): PartError {
  return new PartError(
    name,
    `${partFile(name)} is damaged: ${why}. Copy it again, or make the interface again.`,
  );
}
