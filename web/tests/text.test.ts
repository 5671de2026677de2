import { describe, expect, test } from 'vitest';
import { crc32, decodeBase64, decodeUtf16 } from '../src/bundle/text';

/** Writes bytes as docs/bundle_format.md says: 15 bits a character from 0x4000. */
function encodeUtf16(bytes: Uint8Array): string {
  const bits = [...bytes].map((b) => b.toString(2).padStart(8, '0')).join('');
  let text = '';
  for (let i = 0; i < bits.length; i += 15)
    text += String.fromCharCode(0x4000 + parseInt(bits.slice(i, i + 15).padEnd(15, '0'), 2));
  return text;
}

const bytes = (n: number, seed = 1) => {
  let state = seed;
  return Uint8Array.from({ length: n }, () => (state = (state * 48271) % 2147483647) & 255);
};

describe('utf16', () => {
  test('reads a known text', () => {
    // 0xFF00 is 1111111100000000: fifteen bits 0x7f80, then one bit 0 and padding.
    expect([...decodeUtf16('\ubf80\u4000', 2)]).toEqual([0xff, 0x00]);
  });

  test.each([0, 1, 2, 14, 15, 16, 29, 30, 31, 1000])('reads back %i bytes', (n) => {
    const data = bytes(n);
    expect(decodeUtf16(encodeUtf16(data), n)).toEqual(data);
  });

  test('refuses a text of another length', () => {
    expect(() => decodeUtf16(encodeUtf16(bytes(30)).slice(1), 30)).toThrow('30 bytes');
  });

  test.each(['\u3fff', '\uc000', 'a', '\uffff'])('refuses characters outside (%j)', (character) => {
    expect(() => decodeUtf16(character, 1)).toThrow('alphabet');
  });
});

describe('base64', () => {
  test('reads back', () => {
    const data = bytes(257);
    const text = btoa(String.fromCharCode(...data));
    expect(decodeBase64(`${text}\n`, 257)).toEqual(data);
  });

  test('refuses another length and other characters', () => {
    expect(() => decodeBase64('AAAA', 4)).toThrow('expected 4');
    expect(() => decodeBase64('A*AA', 3)).toThrow('base64');
  });
});

describe('crc32', () => {
  test('gives the standard check value', () => {
    expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926);
  });

  test('counts every byte, whatever the length', () => {
    for (let n = 0; n < 20; n++) {
      const data = bytes(n);
      let c = 0xffffffff; // bit by bit
      for (const b of data) {
        c ^= b;
        for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
      }
      expect(crc32(data)).toBe((c ^ 0xffffffff) >>> 0);
    }
  });
});
