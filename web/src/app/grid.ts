/** Places in pictures: under the pointer, and by arrow keys. */

import { clamp } from '../arithmetic/numbers';

export interface Place {
  y: number;
  x: number;
}

export interface Cell {
  row: number;
  column: number;
}

/** Rows down and columns to the right, by key. */
export const ARROWS: Record<string, readonly [number, number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

/** Where the pointer is, as fractions of the element; outside of 0 to 1 beyond it. */
export function placeOf(event: MouseEvent): Place {
  const box = (event.currentTarget as Element).getBoundingClientRect();
  return { y: (event.clientY - box.top) / box.height, x: (event.clientX - box.left) / box.width };
}

/** The cell of a place, or the nearest. */
export function cellOf({ y, x }: Place, rows: number, columns: number): Cell {
  return {
    row: clamp(Math.floor(y * rows), 0, rows - 1),
    column: clamp(Math.floor(x * columns), 0, columns - 1),
  };
}

/** The middle of a cell. */
export function middleOf({ row, column }: Cell, rows: number, columns: number): Place {
  return { y: (row + 0.5) / rows, x: (column + 0.5) / columns };
}

/** The next cell in an arrow's direction; from nowhere the one in the middle. */
export function moved(from: Cell | null, key: string, rows: number, columns: number): Cell | null {
  const arrow = ARROWS[key];
  if (!arrow) return null;
  const { row, column } = from ?? { row: rows >> 1, column: columns >> 1 };
  return {
    row: clamp(row + arrow[0], 0, rows - 1),
    column: clamp(column + arrow[1], 0, columns - 1),
  };
}
