/** Attribution of one frame to a picture: colour, smooth, brightness to opacity. */

import type { Rgb } from './colours';
import { smooth, type Disc } from './smoothing';

export type Sign = 'positive' | 'negative' | 'both';

export interface Shading {
  sign: Sign;
  /** The attribution of brightness 1. */
  scale: number;
  /** By map; null hides it. */
  colours: readonly (Rgb | null)[];
  filter: Disc;
  /** Smaller attributions are left out, in the output's units. */
  least?: number;
}

/** Working memory for one size of map. */
export class Renderer {
  readonly rgba: Uint8ClampedArray<ArrayBuffer>;
  #light: Float32Array;
  #smoothed: Float32Array;

  constructor(
    readonly height: number,
    readonly width: number,
  ) {
    const area = height * width;
    this.rgba = new Uint8ClampedArray(area * 4);
    this.#light = new Float32Array(area * 3);
    this.#smoothed = new Float32Array(area * 3);
  }

  /**
   * Renders maps [colours, height, width] to RGBA (not premultiplied), in `rgba`.
   *
   * Each map's part of the sign, over the scale, times its colour, is added up and
   * smoothed. The norm of the light is its opacity, up to 1; its colour is shown at
   * norm 1 whatever its brightness, so that hues stay where light is brighter than 1.
   */
  render(maps: Float32Array, { sign, scale, colours, filter, least = 0 }: Shading): Uint8ClampedArray {
    const area = this.height * this.width;
    const light = this.#light;
    light.fill(0);
    const gain = 1 / scale;
    const floor = least * gain;
    colours.forEach((colour, map) => {
      if (!colour) return;
      const [r, g, b] = colour;
      const start = map * area;
      for (let p = 0, to = 0; p < area; p++, to += 3) {
        let v = maps[start + p]! * gain;
        if (v === 0 || Math.abs(v) < floor) continue;
        if (v < 0) {
          if (sign === 'positive') continue;
          v = -v;
        } else if (sign === 'negative') continue;
        light[to]! += v * r;
        light[to + 1]! += v * g;
        light[to + 2]! += v * b;
      }
    });
    let shown = light;
    if (filter.radius > 0) {
      smooth(light, this.height, this.width, filter, this.#smoothed);
      shown = this.#smoothed;
    }
    brightnessToOpacity(shown, this.rgba);
    return this.rgba;
  }

  /** As `render` of one map in a colour that is not shown: only the opacity counts. */
  opacity(
    maps: Float32Array,
    map: number,
    { sign, scale, filter, least = 0 }: Omit<Shading, 'colours'>,
  ): Uint8ClampedArray {
    const area = this.height * this.width;
    const light = this.#light.subarray(0, area);
    for (let p = 0; p < area; p++) {
      const v = maps[map * area + p]!;
      const counts = Math.abs(v) >= least && (sign === 'both' || v > 0 === (sign === 'positive'));
      light[p] = counts ? Math.abs(v) / scale : 0;
    }
    let shown = light;
    if (filter.radius > 0) {
      shown = this.#smoothed.subarray(0, area);
      smooth(light, this.height, this.width, filter, shown, 1);
    }
    this.rgba.fill(255);
    for (let p = 0; p < area; p++) this.rgba[4 * p + 3] = 255 * Math.min(shown[p]!, 1);
    return this.rgba;
  }
}

export function brightnessToOpacity(light: Float32Array, rgba: Uint8ClampedArray): void {
  for (let from = 0, to = 0; to < rgba.length; from += 3, to += 4) {
    const r = light[from]!;
    const g = light[from + 1]!;
    const b = light[from + 2]!;
    const norm = Math.sqrt(r * r + g * g + b * b);
    const factor = norm > 0 ? 255 / norm : 0;
    rgba[to] = r * factor;
    rgba[to + 1] = g * factor;
    rgba[to + 2] = b * factor;
    rgba[to + 3] = 255 * Math.min(norm, 1);
  }
}

/** The largest absolute attribution among some maps. */
export function largest(maps: Float32Array, area: number, shown: readonly boolean[]): number {
  let found = 0;
  shown.forEach((is, map) => {
    if (!is) return;
    for (let p = map * area; p < (map + 1) * area; p++) found = Math.max(found, Math.abs(maps[p]!));
  });
  return found;
}

/** Each map's part of the absolute attribution of a frame. */
export function sharesOf(maps: Float32Array, nMaps: number): Float64Array {
  const area = maps.length / nMaps;
  const shares = new Float64Array(nMaps);
  for (let p = 0; p < maps.length; p++) shares[Math.floor(p / area)]! += Math.abs(maps[p]!);
  const sum = shares.reduce((a, b) => a + b, 0) || 1;
  return shares.map((share) => share / sum);
}

/** Brightness of the greyed observation: light of any colour shows on it. */
const GREY = 0.7;

/** Luma of RGBA (Rec. 601), darkened, in place. */
export function toGreyscale(rgba: Uint8ClampedArray): void {
  for (let i = 0; i < rgba.length; i += 4) {
    const luma = 0.299 * rgba[i]! + 0.587 * rgba[i + 1]! + 0.114 * rgba[i + 2]!;
    rgba[i] = rgba[i + 1] = rgba[i + 2] = GREY * luma;
  }
}
