/* Find the outline of a structure in a probability map, as outline.py and ellipse.py of edgeseg/measure.

   A map is { values: Float32Array, width, height }. */
import { roundEven } from "./view.js";

const ROBUST_ROUNDS = 4, LEAST_POINTS = 12, SECTORS = 72, LEAST_SHARE = 0.002;
const MOST_STEPS = 60, SINGULAR = 1e-13;
const CORNERS = 128, FINE = 16; // corners lie on sixteenths of a pixel, as in Python

/* Find the region that may be a head, and its ellipse in pixels of a view; a reason if none is. */
export function findOutline(map, view, threshold) {
  const region = mainRegion(map, threshold);
  if (!region) return "nothing in the image looks like one";
  const share = region.area / map.values.length;
  if (share < LEAST_SHARE) {
    return `the largest shape seen fills only ${(100 * share).toFixed(2)} % of the image`;
  }
  const fit = fitOutline(map, region, view, threshold);
  if (!fit) return "no ellipse fits the shape seen";
  return { region, fit, confidence: agreement(map, onMap(fit.ellipse, view, map)) };
}

/* An ellipse of a view in the pixels of its map. */
function onMap(ellipse, view, map) {
  const x = map.width / view.width, y = map.height / view.height;
  return ellipses.transformed(ellipse, [x, 0, (x - 1) / 2], [0, y, (y - 1) / 2]);
}

function fitOutline(map, region, view, threshold) {
  const scaleX = view.width / map.width, scaleY = view.height / map.height;
  const points = boundaryPoints(map, region, threshold)
    .map(([x, y]) => [(x + 0.5) * scaleX - 0.5, (y + 0.5) * scaleY - 0.5]);
  const ellipse = fitEllipse(points);
  if (!ellipse) return null;
  const inCircle = points.map((point) => inUnitCircle(ellipse, point));
  const distances = inCircle.map((point) => distanceTo(ellipse, point));
  const isNear = (_, i) => Math.abs(distances[i]) < 0.1 * ellipse.semiMinor;
  const sectors = inCircle.filter(isNear).map(([u, v]) => {
    const turn = (((Math.atan2(v, u) / (2 * Math.PI)) % 1) + 1) % 1;
    return Math.floor(turn * SECTORS) % SECTORS;
  });
  const residual = Math.sqrt(meanOf(distances.map((distance) => distance * distance)));
  return { ellipse, residual, arc: new Set(sectors).size / SECTORS };
}

/* Fit an ellipse robustly: each round weighs points by their distance from the last ellipse. */
export function fitEllipse(points) {
  if (points.length < LEAST_POINTS) return null;
  const origin = [0, 1].map((axis) => meanOf(points.map((point) => point[axis])));
  const spread = points.map(([x, y]) => Math.abs(x - origin[0]) + Math.abs(y - origin[1]));
  const unit = meanOf(spread) / 2;
  if (!(unit > 0)) return null;
  const centred = points.map(([x, y]) => [(x - origin[0]) / unit, (y - origin[1]) / unit]);
  const rows = powers(centred);
  let found = directFit(rows, rows.map(() => 1));
  for (let round = 0; found && round < ROBUST_ROUNDS; round++) {
    const inCircle = centred.map((point) => inUnitCircle(found, point));
    const distances = inCircle.map((point) => Math.abs(distanceTo(found, point)));
    const scale = Math.max(2 * 1.4826 * median(distances), 0.05 / unit);
    found = directFit(rows, distances.map((distance) => 1 / (1 + (distance / scale) ** 2)));
  }
  return found && ellipses.transformed(found, [unit, 0, origin[0]], [0, unit, origin[1]]);
}

const dot = (u, v) => u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
const cross = (u, v) => [
  u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0],
];

/* x², xy, y², x, y and 1 of points. */
function powers(points) {
  return points.map(([x, y]) => [x * x, x * y, y * y, x, y, 1]);
}

/* The ellipse a x² + b xy + c y² + d x + e y + f = 0 that fits points best, as `powers`; null if none. */
function directFit(rows, weights) {
  const scatter = Array.from({ length: 6 }, (_, i) => Array.from({ length: 6 }, (_, j) =>
    rows.reduce((sum, row, k) => sum + weights[k] * row[i] * row[j], 0)));
  const s1 = scatter.slice(0, 3).map((row) => row.slice(0, 3));
  const s2 = scatter.slice(0, 3).map((row) => row.slice(3));
  const inverse = inverted(scatter.slice(3).map((row) => row.slice(3)));
  if (!inverse) return null;
  const t = inverse.map((row) => s2.map((column) => -dot(row, column)));
  const reduced = s1.map((row, i) =>
    row.map((value, j) => value + dot(s2[i], t.map((each) => each[j]))));
  const quadratic = leastUnderConstraint(reduced);
  return quadratic && ellipseOf([...quadratic, ...t.map((row) => dot(row, quadratic))]);
}

/* The eigenvector of the one positive eigenvalue of M v = λ C v; null if it is no ellipse. */
function leastUnderConstraint([[p, q, s], [, t, u], [, , w]]) {
  const k0 = p * (t * w - u * u) - q * (q * w - u * s) + s * (q * u - t * s);
  const k1 = 4 * (q * u - s * t) + s * s - p * w;
  const k2 = 4 * (s - t);
  let eigenvalue = (p + 2 * s + w) / 4;
  for (let i = 0; i < MOST_STEPS; i++) {
    const slope = -k1 + eigenvalue * (2 * k2 - 12 * eigenvalue);
    if (!(slope < 0)) break;
    const step = (k0 + eigenvalue * (-k1 + eigenvalue * (k2 - 4 * eigenvalue))) / slope;
    eigenvalue -= step;
    if (Math.abs(step) <= 1e-15 * Math.abs(eigenvalue)) break;
  }
  const rows = [[p, q, s - 2 * eigenvalue], [q, t + eigenvalue, u], [s - 2 * eigenvalue, u, w]];
  const found = [[0, 1], [0, 2], [1, 2]]
    .map(([i, j]) => cross(rows[i], rows[j]))
    .reduce((best, v) => (dot(v, v) > dot(best, best) ? v : best));
  return 4 * found[0] * found[2] > found[1] ** 2 ? found : null;
}

function inverted(m) {
  const columns = [cross(m[1], m[2]), cross(m[2], m[0]), cross(m[0], m[1])];
  const determinant = dot(m[0], columns[0]);
  if (!(determinant > SINGULAR * m[0][0] * m[1][1] * m[2][2])) return null;
  return columns.map((column) => column.map((value) => value / determinant));
}

function ellipseOf([a, b, c, d, e, f]) {
  const determinant = a * c - (b * b) / 4;
  const centerX = ((b * e) / 4 - (c * d) / 2) / determinant;
  const centerY = ((b * d) / 4 - (a * e) / 2) / determinant;
  const level = -(f + (d * centerX + e * centerY) / 2); // scaled to -1 at the centre
  const mean = (a + c) / 2 / level, largest = mean + Math.hypot((a - c) / 2, b / 2) / Math.abs(level);
  if (!(mean > 0)) return null; // an imaginary ellipse
  const semiMajor = Math.sqrt(largest / determinant) * Math.abs(level);
  const angle = ((Math.atan2(b / level, (a - c) / level) + Math.PI) / 2) % Math.PI;
  return { centerX, centerY, semiMajor, semiMinor: 1 / Math.sqrt(largest), angle };
}

export const meanOf = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function median(values) {
  const sorted = Float64Array.from(values).sort();
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

/* A point as (u, v) of the unit circle that the outline is stretched from. */
function inUnitCircle({ centerX, centerY, semiMajor, semiMinor, angle }, [x, y]) {
  const cos = Math.cos(angle), sin = Math.sin(angle), dx = x - centerX, dy = y - centerY;
  return [(dx * cos + dy * sin) / semiMajor, (dy * cos - dx * sin) / semiMinor];
}

/* Sampson distance of a point in the unit circle to the outline; negative inside. */
function distanceTo({ semiMajor, semiMinor }, [u, v]) {
  const radius = Math.hypot(u, v);
  if (radius === 0) return -semiMinor;
  return ((radius - 1) * radius) / Math.max(Math.hypot(u / semiMajor, v / semiMinor), 1e-12);
}

/* How far a map and an ellipse in its pixels agree: their soft Dice, in [0, 1]. */
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

/* The same of an outline, without other regions if that helps: there may be a head all the same. */
export function bestAgreement(map, { region, fit, confidence }, view, threshold) {
  const limit = Math.fround(threshold);
  const values = map.values.map((value, i) => (region.mask[i] || value < limit ? value : 0));
  return Math.max(confidence, agreement({ ...map, values }, onMap(fit.ellipse, view, map)));
}

/* First and last column inside an ellipse's polygon in each row of a map.

   The polygon is convex: its border, by Bresenham's lines as OpenCV draws them, bounds all rows. Only
   those of the map are gone through, for an ellipse guessed from a short arc may be huge. */
function rowsInside(ellipse, { height }) {
  const rows = Array.from({ length: height }, () => [Infinity, -Infinity]);
  const nearest = (value) => Math.floor((roundEven(value * FINE) + FINE / 2) / FINE);
  const corners = ellipses.points(ellipse, CORNERS).map((point) => point.map(nearest));
  corners.forEach((corner, i) => {
    const [[x0, y0], [x1, y1]] = [corners.at(i - 1), corner].sort(([one], [two]) => one - two);
    const dx = x1 - x0, dy = Math.abs(y1 - y0), bottom = Math.min(Math.max(y0, y1), height - 1);
    for (let y = Math.max(Math.min(y0, y1), 0); y <= bottom; y++) {
      const k = Math.abs(y - y0); // a steep line has one pixel in its k-th row, a flat one a run
      const [first, last] = dy > dx ? Array(2).fill(Math.ceil((dx * k) / dy - 0.5))
        : [Math.floor(((k - 0.5) * dx) / dy) + 1, Math.floor(((k + 0.5) * dx) / dy)];
      rows[y][0] = Math.min(rows[y][0], x0 + (dy ? Math.max(first, 0) : 0));
      rows[y][1] = Math.max(rows[y][1], x0 + (dy ? Math.min(last, dx) : dx));
    }
  });
  return rows;
}

/* The largest 4-connected region at or above a threshold, its holes filled; null if there is none. */
function mainRegion({ values, width, height }, threshold) {
  const limit = Math.fround(threshold), seen = new Uint8Array(values.length), regions = [];
  const isInside = (place) => values[place] >= limit;
  for (let place = 0; place < values.length; place++) {
    if (isInside(place) && !seen[place]) regions.push(reached([place], isInside, seen, width));
  }
  if (!regions.length) return null;
  const main = regions.reduce((best, each) => (each.length > best.length ? each : best));
  const otherArea = regions.reduce((sum, each) => sum + each.length, 0) - main.length;
  // the holes are what is not reached from outside, in a map with a border of one pixel
  const wide = width + 2, outside = new Uint8Array(wide * (height + 2));
  const framed = (place) => place + wide + 1 + 2 * Math.floor(place / width);
  const walls = new Set(main.map(framed));
  reached([0], (place) => !walls.has(place), outside, wide);
  const mask = Uint8Array.from(values, (_, place) => 1 - outside[framed(place)]);
  return { mask, width, height, area: mask.reduce((sum, bit) => sum + bit, 0), otherArea };
}

/* The places that steps across and down lead to from some, marked in `seen`. */
export function reached(places, isTaken, seen, width) {
  for (const place of places) seen[place] = 1;
  for (const place of places) { // these become more meanwhile
    const x = place % width;
    for (const next of [x > 0 ? place - 1 : -1, x < width - 1 ? place + 1 : -1,
      place - width, place + width]) {
      if (seen[next] === 0 && isTaken(next)) {
        seen[next] = 1;
        places.push(next);
      }
    }
  }
  return places;
}

/* Points [x, y] where the probability crosses the threshold around a region, to sub-pixel. */
function boundaryPoints({ values, width, height }, region, threshold) {
  const points = [];
  const cross = (here, next, point) => {
    if (region.mask[here] === region.mask[next]) return;
    const step = (threshold - values[here]) / (values[next] - values[here]);
    points.push(point(Math.min(Math.max(step, 0), 1)));
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const here = y * width + x;
      if (y < height - 1) cross(here, here + width, (along) => [x, y + along]);
      if (x < width - 1) cross(here, here + 1, (along) => [x + along, y]);
    }
  }
  return points;
}
