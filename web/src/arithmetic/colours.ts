/** Colours of features: light of unit norm, so that equal attributions weigh the same. */

export const PALETTES = ['safe', 'hues'] as const;
/** Colours that stay apart when blended, or the article's evenly spaced hues. */
export type Palette = (typeof PALETTES)[number];

/** Light as red, green and blue. */
export type Rgb = readonly [number, number, number];

const PURE: readonly Rgb[] = [
  [1, 0, 0],
  [1, 1, 0],
  [0, 1, 0],
  [0, 1, 1],
  [0, 0, 1],
  [1, 0, 1],
];

function unit([r, g, b]: Rgb): Rgb {
  const norm = Math.hypot(r, g, b) || 1;
  return [r / norm, g / norm, b / norm];
}

/**
 * The unit-norm colour of a hue.
 *
 * Between neighbouring pure colours the mix runs along a sine that spends less of the
 * circle near yellow, cyan and magenta, where the eye tells fewer hues apart.
 */
function hueColour(degrees: number): Rgb {
  const place = ((((degrees % 360) + 360) % 360) * PURE.length) / 360;
  const n = Math.floor(place);
  const along = place - n;
  const mix =
    n % 2 === 0 ? Math.sin((along * Math.PI) / 2) : 1 - Math.sin(((1 - along) * Math.PI) / 2);
  const from = unit(PURE[n]!);
  const to = unit(PURE[(n + 1) % PURE.length]!);
  return unit([
    (1 - mix) * from[0] + mix * to[0],
    (1 - mix) * from[1] + mix * to[1],
    (1 - mix) * from[2] + mix * to[2],
  ]);
}

/**
 * Colours that stay apart, also blended with grey and for red-blind and green-blind eyes.
 *
 * Brightness shows the strength of attribution, so only chroma can tell features apart.
 * These have the largest smallest CIELAB distance that a search found, at equal norm, under
 * normal, protanope and deuteranope vision, grey included (tests/palette.test.ts measures it).
 */
const SAFE: readonly Rgb[] = [
  [0, 0, 1],
  [0.2, 1, 0],
  [0, 0.7, 1],
  [1, 0, 0.3],
  [0.6, 0.3, 1],
  [1, 0.3, 0],
  [1, 0.1, 0.8],
  [0, 1, 0.6],
];

export const RESIDUAL_COLOUR: Rgb = unit([1, 1, 1]);

/** One unit-norm colour for each of n features; beyond eight, hues in either palette. */
export function featureColours(n: number, palette: Palette): Rgb[] {
  return Array.from({ length: n }, (_, i) =>
    palette === 'safe' && n <= SAFE.length ? unit(SAFE[i]!) : hueColour((360 * i) / n),
  );
}

/** Gradients of the input have colours for features: its own red, green and blue. */
const CHANNEL_COLOURS: readonly Rgb[] = [PURE[0]!, PURE[2]!, PURE[4]!];

/** The colour at its brightest, for discs and bars. */
export function cssColour([r, g, b]: Rgb): string {
  const brightest = Math.max(r, g, b);
  const byte = (v: number) => Math.round((255 * v) / brightest);
  return `rgb(${byte(r)} ${byte(g)} ${byte(b)})`;
}

/** Black or white, whichever reads better on the colour. */
export function inkOn(colour: Rgb): string {
  const [r, g, b] = colour.map((v) => v / Math.max(...colour)) as unknown as Rgb;
  const linear = (v: number) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const luminance = 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  return luminance > 0.179 ? '#000' : '#fff';
}

/** Colours of a layer's maps: its features and their residual, or the input's channels. */
export function channelOrFeatureColours(
  kind: 'attribution' | 'gradient',
  n: number,
  palette: Palette,
): Rgb[] {
  if (kind === 'gradient') return [...CHANNEL_COLOURS];
  return [...featureColours(n, palette), RESIDUAL_COLOUR];
}
