/** Textures tell what colours cannot: the residual, and negative attribution in one picture. */

export type Texture = 'hatch' | 'stripes';

type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

const tiles = new Map<Texture, OffscreenCanvas>();

/** Hatching of white and black lines shows on any grey; stripes darken what they lie on. */
function tile(texture: Texture): OffscreenCanvas {
  let made = tiles.get(texture);
  if (made) return made;
  made = new OffscreenCanvas(8, 8);
  const context = made.getContext('2d')!;
  for (let y = 0; y < 8; y++)
    for (let x = 0; x < 8; x++) {
      const along = texture === 'hatch' ? (x + y) % 8 : (2 * y) % 8;
      if (texture === 'hatch' ? along > 3 : along < 4) continue;
      context.fillStyle = texture === 'hatch' && along < 2 ? '#fff' : '#000';
      context.fillRect(x, y, 1, 1);
    }
  tiles.set(texture, made);
  return made;
}

/** Hatching leaves the colours of features in front. */
const OPACITY: Record<Texture, number> = { hatch: 0.6, stripes: 1 };

let scratch: OffscreenCanvas | undefined;
let small: OffscreenCanvas | undefined;

function sized(canvas: OffscreenCanvas | undefined, width: number, height: number): OffscreenCanvas {
  canvas ??= new OffscreenCanvas(width, height);
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  return canvas;
}

/** Draws RGBA cells into a rectangle, each cell a block of one colour. */
export function drawCells(
  context: Context,
  rgba: Uint8ClampedArray<ArrayBuffer>,
  cells: number,
  [x, y, width, height]: readonly [number, number, number, number],
): void {
  small = sized(small, cells, rgba.length / 4 / cells);
  small.getContext('2d')!.putImageData(new ImageData(rgba, cells), 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, x, y, width, height);
}

/** Draws a texture into a rectangle, as opaque as the cells of `rgba` are. */
export function drawTexture(
  context: Context,
  texture: Texture,
  rgba: Uint8ClampedArray<ArrayBuffer>,
  cells: number,
  [x, y, width, height]: readonly [number, number, number, number],
): void {
  const [w, h] = [Math.round(width), Math.round(height)];
  scratch = sized(scratch, w, h);
  const above = scratch.getContext('2d')!;
  above.globalCompositeOperation = 'copy';
  above.fillStyle = above.createPattern(tile(texture), 'repeat')!;
  above.fillRect(0, 0, w, h);
  above.globalCompositeOperation = 'destination-in';
  drawCells(above, rgba, cells, [0, 0, w, h]);
  const alpha = context.globalAlpha;
  context.globalAlpha = alpha * OPACITY[texture];
  context.drawImage(scratch, x, y, width, height);
  context.globalAlpha = alpha;
}
