/** Payload text to bytes, and the checksum that tells damage. */

/** What the bytes 0x80 to 0x9f are in windows-1252; the others are their own code. */
const HIGH = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';

/** The byte of each UTF-16 code; -1: none. */
const BYTES = (() => {
  const bytes = new Int16Array(0x10000).fill(-1);
  for (let byte = 0; byte < 256; byte++) {
    const high = byte >= 0x80 && byte < 0xa0;
    bytes[high ? HIGH.charCodeAt(byte - 0x80) : byte] = byte;
  }
  return bytes;
})();

/** The bytes of a text that was read as windows-1252, one for each character. */
export function decodeWindows1252(text: string, nBytes: number): Uint8Array<ArrayBuffer> {
  if (text.length !== nBytes) throw new Error(`expected ${nBytes} bytes of data, found ${text.length}`);
  const bytes = new Uint8Array(nBytes);
  let outside = 0;
  for (let i = 0; i < nBytes; i++) {
    const byte = BYTES[text.charCodeAt(i)]!;
    outside |= byte; // -1 leaves its sign here
    bytes[i] = byte;
  }
  if (outside < 0) throw new Error('the data hold characters outside their alphabet');
  return bytes;
}

export function decodeBase64(text: string, nBytes: number): Uint8Array<ArrayBuffer> {
  let binary: string;
  try {
    binary = atob(text.trim());
  } catch {
    throw new Error('the data are not base64');
  }
  if (binary.length !== nBytes)
    throw new Error(`expected ${nBytes} bytes of data, found ${binary.length}`);
  const bytes = new Uint8Array(nBytes);
  for (let i = 0; i < nBytes; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** `CRC_TABLES[k][b]`: the CRC of byte b followed by k zero bytes (slicing by four). */
const CRC_TABLES = (() => {
  const tables = Array.from({ length: 4 }, () => new Uint32Array(256));
  const [t0, t1, t2, t3] = tables as [Uint32Array, Uint32Array, Uint32Array, Uint32Array];
  for (let i = 0; i < 256; i++) {
    let c = i;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
    t0[i] = c;
  }
  for (let i = 0; i < 256; i++) {
    t1[i] = (t0[i]! >>> 8) ^ t0[t0[i]! & 255]!;
    t2[i] = (t1[i]! >>> 8) ^ t0[t1[i]! & 255]!;
    t3[i] = (t2[i]! >>> 8) ^ t0[t2[i]! & 255]!;
  }
  return { t0, t1, t2, t3 };
})();

/** CRC-32 as zlib computes it, unsigned; `before`: that of what the bytes follow. */
export function crc32(bytes: Uint8Array, before = 0): number {
  const { t0, t1, t2, t3 } = CRC_TABLES;
  let c = before ^ 0xffffffff;
  let i = 0;
  for (const end = bytes.length - 3; i < end; i += 4) {
    c ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    c = t3[c & 255]! ^ t2[(c >>> 8) & 255]! ^ t1[(c >>> 16) & 255]! ^ t0[c >>> 24]!;
  }
  for (; i < bytes.length; i++) c = t0[(c ^ bytes[i]!) & 255]! ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}
