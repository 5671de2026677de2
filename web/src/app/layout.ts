/** Sizes that depend on the window. */

const STEP = 32; // px; pictures of 64 cells stay even at every second step
const SMALLEST = 128;
const LARGEST = 640;
const ABOVE = 62; // px of the window above the timeline and around the controls
const AROUND = 180; // of each row, above and beneath its pictures

/** The width of the pictures: as large as all rows fit the window, within reason. */
export function pictureSize(
  width: number,
  /** Of the window, less the timeline and the controls. */
  height: number,
  nPictures: number,
  nRows: number,
  gap: number,
  /** Height over width. */
  aspect = 1,
): number {
  const byWidth = (width - gap * (nPictures - 1)) / nPictures;
  const byHeight = Math.max((height - ABOVE) / nRows - AROUND, 192);
  const size = Math.floor(Math.min(byWidth, byHeight / aspect, LARGEST) / STEP) * STEP;
  // Too narrow for all side by side: two, and the others beneath.
  return size >= SMALLEST ? size : Math.floor((width - gap) / 2);
}
