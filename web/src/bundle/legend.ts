/** What the dataset shows of a layer's features: patches and spatially-aware maps. */

import type { Part } from './parts';
import type { LayerInfo, LayerMeta } from './types';

/** A feature's spatially-aware map. */
export interface FeatureMap {
  rows: number;
  columns: number;
  /** [rows, columns]: observation in "examples"; -1: none. */
  index: Int32Array;
  /** [rows, columns]: opacity, 0–255. */
  weight: Uint8Array;
  /** [rows, columns]: the responses themselves; null where they are not stored. */
  response: Float32Array | null;
}

export interface Thumbnails {
  rows: number;
  columns: number;
  /** [K, rows, columns] each: observation, the centre in the layer's grid, opacity. */
  index: Int32Array;
  y: Int16Array;
  x: Int16Array;
  weight: Uint8Array;
}

export class Legend {
  private constructor(
    private readonly part: Part,
    readonly meta: LayerMeta,
    readonly height: number,
    readonly width: number,
    readonly thumbnails: Thumbnails | null,
  ) {}

  static async open(part: Part, layer: LayerInfo): Promise<Legend> {
    const meta = part.meta as LayerMeta;
    const [height, width] = layer.shape;
    let thumbnails: Thumbnails | null = null;
    if (meta.thumbnail && part.has('thumbnail_index')) {
      const { rows, columns } = meta.thumbnail;
      const shape = [layer.n_features, rows, columns];
      thumbnails = {
        rows,
        columns,
        index: await part.array('thumbnail_index', shape),
        y: await part.array('thumbnail_y', shape),
        x: await part.array('thumbnail_x', shape),
        weight: await part.array('thumbnail_weight', shape),
      };
    }
    return new Legend(part, meta, height, width, thumbnails);
  }

  get multiples(): number[] {
    return (this.meta.maps ?? []).map((m) => m.multiple).sort((a, b) => a - b);
  }

  async map(multiple: number, feature: number): Promise<FeatureMap> {
    const { rows, columns } = this.meta.maps!.find((m) => m.multiple === multiple)!;
    const name = `map${multiple}`;
    const [from, to] = [feature * rows * columns, (feature + 1) * rows * columns];
    let response: FeatureMap['response'] = null;
    if (this.part.has(`${name}_value`)) {
      const codes = await this.part.array<Uint16Array>(`${name}_value`);
      const largest = await this.part.array<Float32Array>(`${name}_largest`);
      response = Float32Array.from(
        codes.subarray(from, to),
        (code) => (code / 65_535) * largest[feature]!,
      );
    }
    const index = await this.part.array<Int32Array>(`${name}_index`);
    const weight = await this.part.array<Uint8Array>(`${name}_weight`);
    return { rows, columns, response, index: index.subarray(from, to), weight: weight.subarray(from, to) };
  }
}
