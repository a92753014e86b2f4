/* How far a probability map and an ellipse in its pixels agree: their soft Dice, in [0, 1]; see
   edgeseg/measure/outline.py. */
import { roundEven } from "./rounding.js";

const CORNERS = 128;
const FINE = 16; // corners lie on sixteenths of a pixel, as Python gives them to OpenCV

export function agreement(map, ellipse) {
  let [area, both] = [0, 0];
  rowsInside(ellipse, map).forEach(([first, last], row) => {
    for (let x = Math.max(first, 0); x <= Math.min(last, map.width - 1); x++) {
      both += map.values[row * map.width + x];
      area++;
    }
  });
  const total = area + map.values.reduce((sum, value) => sum + value, 0);
  return total ? (2 * both) / total : 0;
}

/* The same, other regions left out if that helps: a second one does not mean there is no head. */
export function bestAgreement(map, { region, confidence }, ellipse, threshold) {
  const limit = Math.fround(threshold);
  const values = map.values.map((value, i) => (region.mask[i] || value < limit ? value : 0));
  return Math.max(confidence, agreement({ ...map, values }, ellipse));
}

/* First and last column inside an ellipse's polygon in each row of a map.

   The polygon is convex: its border, drawn as OpenCV draws lines, bounds all rows. Only those of
   the map are gone through, for an ellipse guessed from a short arc may be huge. */
function rowsInside(ellipse, { height }) {
  const rows = Array.from({ length: height }, () => [Infinity, -Infinity]);
  const corners = ellipses.points(ellipse, CORNERS).map((point) => point.map(nearestPixel));
  corners.forEach((corner, i) => addLine(rows, corners.at(i - 1), corner));
  return rows;
}

function nearestPixel(coordinate) {
  return Math.floor((roundEven(coordinate * FINE) + FINE / 2) / FINE);
}

/* Widen rows by Bresenham's line between two pixels. */
function addLine(rows, one, two) {
  const [[x0, y0], [x1, y1]] = one[0] <= two[0] ? [one, two] : [two, one];
  const dx = x1 - x0, dy = Math.abs(y1 - y0), down = Math.sign(y1 - y0) || 1;
  const top = Math.max(Math.min(y0, y1), 0), bottom = Math.min(Math.max(y0, y1), rows.length - 1);
  for (let row = top; row <= bottom; row++) {
    const [first, last] = reach((row - y0) * down, dx, dy);
    rows[row][0] = Math.min(rows[row][0], x0 + first);
    rows[row][1] = Math.max(rows[row][1], x0 + last);
  }
}

/* Columns, from its first, that a line so wide and so high has in its k-th row. */
function reach(k, dx, dy) {
  if (dy === 0) return [0, dx];
  if (dy > dx) {
    const column = Math.ceil((dx * k) / dy - 0.5);
    return [column, column];
  }
  const first = Math.floor(((k - 0.5) * dx) / dy) + 1, last = Math.floor(((k + 0.5) * dx) / dy);
  return [Math.max(first, 0), Math.min(last, dx)];
}
