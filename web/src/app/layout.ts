/** Sizes that depend on the window. */

const STEP = 32; // px; pictures of 64 cells stay even at every second step
const SMALLEST = 96;
const LARGEST = 640;
const ABOVE = 390; // px of the page above the pictures
const TALL = 960; // px of a window in which the graphs are larger
const TALLER = 48;
const BELOW = 150; // of each row beneath its pictures

/** The width of the pictures: as large as all rows fit the window, within reason. */
export function pictureSize(
  width: number,
  windowHeight: number,
  nPictures: number,
  nRows: number,
  gap: number,
  /** Height over width. */
  aspect = 1,
): number {
  const byWidth = (width - gap * (nPictures - 1)) / nPictures;
  const above = ABOVE + (windowHeight >= TALL ? TALLER : 0);
  const byHeight = Math.max((windowHeight - above) / nRows - BELOW, nRows > 1 ? 192 : 224);
  const size = Math.floor(Math.min(byWidth, byHeight / aspect, LARGEST) / STEP) * STEP;
  return Math.max(size, Math.min(SMALLEST, Math.floor(byWidth)));
}
