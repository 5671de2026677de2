/** Numbers for people, and round numbers for axes. */

const MINUS = '−';

export function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}

/** Three significant digits, a true minus sign; `sign` asks for a plus as well. */
export function format(value: number, { sign = false } = {}): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size === 0) return '0';
  const text = size >= 1e5 || size < 1e-4 ? size.toExponential(1) : fixed(size);
  return (value < 0 ? MINUS : sign ? '+' : '') + text.replace('e-', `e${MINUS}`).replace('e+', 'e');
}

function fixed(size: number): string {
  const digits = Math.max(0, 2 - Math.floor(Math.log10(size)));
  return size.toFixed(Math.min(digits, 6));
}

/** How numbers that stand side by side are written: with the same last digit. */
export interface Notation {
  /** What all are divided by, as a power of ten: 0 for as they are. */
  exponent: number;
  /** "×10⁻⁵", or "" for as they are. */
  unit: string;
  write: (value: number) => string;
}

const SUPERSCRIPTS = '⁰¹²³⁴⁵⁶⁷⁸⁹';

/** Three significant digits of the largest number, and as many decimals for the others. */
export function notation(values: ArrayLike<number>, { sign = false } = {}): Notation {
  let largest = 0;
  for (let i = 0; i < values.length; i++)
    if (Number.isFinite(values[i])) largest = Math.max(largest, Math.abs(values[i]!));
  const power = largest > 0 ? Math.floor(Math.log10(largest)) : 0;
  const exponent = power < -3 || power > 4 ? power : 0;
  const decimals = clamp(2 - (power - exponent), 0, 6);
  const digits = [...String(Math.abs(exponent))].map((d) => SUPERSCRIPTS[Number(d)]).join('');
  return {
    exponent,
    unit: exponent ? `×10${exponent < 0 ? '⁻' : ''}${digits}` : '',
    write: (value) => {
      if (!Number.isFinite(value)) return '–';
      const scaled = value / 10 ** exponent;
      const text = Math.abs(scaled).toFixed(decimals);
      const zero = Number(text) === 0;
      return (zero ? '' : scaled < 0 ? MINUS : sign ? '+' : '') + text;
    },
  };
}

/** Text with a true minus sign before its numbers. */
export function withMinus(text: string): string {
  return text.replace(/(^|[\s(])-(?=\d)/g, `$1${MINUS}`);
}

export function percent(fraction: number): string {
  const value = 100 * fraction;
  if (value > 0 && value < 0.05) return '< 0.1 %';
  return `${value >= 10 || value === 0 ? value.toFixed(0) : value.toFixed(1)} %`;
}

/** The least round number (1, 1.5, 2, 3, 5 or 7.5 times a power of ten) not below `value`. */
export function roundUp(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  for (const step of [1, 1.5, 2, 3, 5, 7.5]) if (step * power >= value * (1 - 1e-9)) return step * power;
  return 10 * power;
}

export function extent(values: ArrayLike<number>, start: number, end: number): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (let i = start; i < end; i++) {
    const v = values[i]!;
    if (v < low) low = v;
    if (v > high) high = v;
  }
  return low <= high ? [low, high] : [0, 0];
}

export function bytes(n: number): string {
  if (n < 1e6) return `${Math.round(n / 1e3)} kB`;
  return `${(n / 1e6).toFixed(n < 1e7 ? 1 : 0)} MB`;
}
