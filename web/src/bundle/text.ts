/** Payload text to bytes, and the checksum that tells damage. */

const BITS = 15;
const FIRST = 0x4000;

/** Reads 15 bits from each UTF-16 character, most significant bit first. */
export function decodeUtf16(text: string, nBytes: number): Uint8Array<ArrayBuffer> {
  const expected = Math.ceil((8 * nBytes) / BITS);
  if (text.length !== expected)
    throw new Error(`${text.length} characters cannot hold exactly ${nBytes} bytes`);
  const bytes = new Uint8Array(nBytes);
  let held = 0;
  let bits = 0;
  let position = 0;
  let outside = 0;
  for (let i = 0; i < expected; i++) {
    const code = text.charCodeAt(i) - FIRST;
    outside |= code; // a code below 0 or of 16 bits leaves its mark here
    held = ((held & 0x7f) << BITS) | (code & 0x7fff); // at most 7 bits are left over
    bits += BITS;
    while (bits >= 8 && position < nBytes) {
      bits -= 8;
      bytes[position++] = held >>> bits;
    }
  }
  if (outside < 0 || outside > 0x7fff)
    throw new Error('the data hold characters outside their alphabet');
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

/** CRC-32 as zlib computes it, unsigned. */
export function crc32(bytes: Uint8Array): number {
  const { t0, t1, t2, t3 } = CRC_TABLES;
  let c = 0xffffffff;
  let i = 0;
  for (const end = bytes.length - 3; i < end; i += 4) {
    c ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    c = t3[c & 255]! ^ t2[(c >>> 8) & 255]! ^ t1[(c >>> 16) & 255]! ^ t0[c >>> 24]!;
  }
  for (; i < bytes.length; i++) c = t0[(c ^ bytes[i]!) & 255]! ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}
