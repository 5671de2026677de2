import { describe, expect, test } from 'vitest';
import { crc32, decodeBase64, decodeWindows1252 } from '../src/bundle/text';

const bytes = (n: number, seed = 1) => {
  let state = seed;
  return Uint8Array.from({ length: n }, () => (state = (state * 48271) % 2147483647) & 255);
};

describe('windows-1252', () => {
  test('reads every byte', () => {
    // As the standard's index has it: https://encoding.spec.whatwg.org/#windows-1252
    const special = [
      0x20ac, 0x81, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021, 0x2c6, 0x2030, 0x160, 0x2039,
      0x152, 0x8d, 0x17d, 0x8f, 0x90, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
      0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0x9d, 0x17e, 0x178,
    ];
    const codes = Array.from({ length: 256 }, (_, i) => special[i - 0x80] ?? i);
    const read = decodeWindows1252(String.fromCharCode(...codes), 256);
    expect(read).toEqual(Uint8Array.from({ length: 256 }, (_, i) => i));
  });

  test('refuses a text of another length', () => {
    expect(() => decodeWindows1252('abc', 4)).toThrow('expected 4');
  });

  test.each(['\u0080', '\u20ad', '\u4000', '\uffff'])('refuses characters outside (%j)', (c) => {
    expect(() => decodeWindows1252(`a${c}b`, 3)).toThrow('alphabet');
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
