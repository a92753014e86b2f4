/* How far a probability map and an ellipse agree, as edgeseg/measure/head_outline.py has it. */

import { roundEven } from "./rounding.js";

const POINTS = 128, UNIT = 16; // of the outline, and parts of a pixel that its corners lie in

/* Soft Dice between a map and an ellipse in its pixels, in [0, 1]. */
export function agreement({ values, width, height }, ellipse) {
  const inside = filledEllipse(ellipse, width, height);
  let both = 0, total = 0, area = 0;
  for (let i = 0; i < values.length; i++) {
    total += values[i];
    if (inside[i]) {
      both += values[i];
      area += 1;
    }
  }
  return total + area ? (2 * both) / (total + area) : 0;
}

/* The same, other regions left out if that helps: a second one does not mean there is no head. */
export function bestAgreement(map, { region, confidence }, ellipse, threshold) {
  const limit = Math.fround(threshold);
  const alone = map.values.map((value, i) => (region.mask[i] || value < limit ? value : 0));
  return Math.max(confidence, agreement({ ...map, values: alone }, ellipse));
}

/* Pixels of an ellipse's polygon as cv2.fillPoly has them: its confidence hangs on the rim.

   Corners lie in sixteenths of a pixel; their rows are rounded, and so are both ends of each row. */
function filledEllipse(ellipse, width, height) {
  const inside = new Uint8Array(width * height);
  const fixed = ellipses.points(ellipse, POINTS).map((point) => point.map((v) => roundEven(v * UNIT) / UNIT));
  const corners = fixed.map(([x, y]) => ({ x, column: Math.floor(x + 0.5), row: Math.floor(y + 0.5) }));
  const spans = new Map();
  const widen = (row, x) => {
    const [low, high] = spans.get(row) ?? [Infinity, -Infinity];
    spans.set(row, [Math.min(low, x), Math.max(high, x)]);
  };
  corners.forEach((corner, i) => {
    const next = corners[(i + 1) % POINTS];
    for (const [column, row] of linePixels(corner, next)) {
      if (column >= 0 && row >= 0 && column < width && row < height) inside[row * width + column] = 1;
    }
    const [upper, lower] = corner.row < next.row ? [corner, next] : [next, corner];
    const step = (lower.x - upper.x) / (lower.row - upper.row);
    for (let row = upper.row; row < lower.row; row++) {
      widen(row, upper.x + (row - upper.row) * step);
    }
  });
  for (const [row, [low, high]] of spans) {
    if (row < 0 || row >= height) continue;
    const from = Math.max(Math.ceil(low), 0), to = Math.min(Math.floor(high), width - 1);
    if (from <= to) inside.fill(1, row * width + from, row * width + to + 1);
  }
  return inside;
}

/* The pixels of a line between two, 8-connected, from the left (Bresenham 1965). */
function linePixels(one, other) {
  const [start, end] = one.column <= other.column ? [one, other] : [other, one];
  const dx = end.column - start.column, dy = Math.abs(end.row - start.row);
  const down = end.row < start.row ? -1 : 1, isFlat = dx >= dy;
  const [long, short] = isFlat ? [dx, dy] : [dy, dx];
  const pixels = [];
  let [x, y, error] = [start.column, start.row, long - 2 * short];
  for (let i = 0; i <= long; i++) {
    pixels.push([x, y]);
    const isAside = error < 0;
    error += (isAside ? 2 * long : 0) - 2 * short;
    if (isFlat || isAside) x += 1;
    if (!isFlat || isAside) y += down;
  }
  return pixels;
}
