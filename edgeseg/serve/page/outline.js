/* Find the outline of a head in a probability map, as edgeseg/measure/outline.py does. */
import { agreement } from "./agreement.js";
import { directFit, ellipseOf, powers, signedDistances } from "./conic.js";
import { boundaryPoints, mainRegion } from "./region.js";

const ROBUST_ROUNDS = 4, LEAST_POINTS = 12, SECTORS = 72, LEAST_SHARE = 0.002;

/* Find the region that may be a head, and its ellipse in pixels of a view; a reason if none is. */
export function findOutline(map, view, threshold) {
  const region = mainRegion(map, threshold);
  if (!region) return "nothing in the image looks like a head";
  const share = region.area / map.values.length;
  if (share < LEAST_SHARE) {
    return `the largest shape seen fills only ${(100 * share).toFixed(2)} % of the image`;
  }
  const fit = fitOutline(map, region, view, threshold);
  if (!fit) return "no ellipse fits the shape seen";
  return { region, fit, confidence: agreement(map, onMap(fit.ellipse, view, map)) };
}

/* An ellipse of a view in the pixels of its map. */
export function onMap(ellipse, view, map) {
  const x = map.width / view.width, y = map.height / view.height;
  return ellipses.transformed(ellipse, [x, 0, (x - 1) / 2], [0, y, (y - 1) / 2]);
}

function fitOutline(map, region, view, threshold) {
  const scaleX = view.width / map.width, scaleY = view.height / map.height;
  const points = boundaryPoints(map, region, threshold)
    .map(([x, y]) => [(x + 0.5) * scaleX - 0.5, (y + 0.5) * scaleY - 0.5]);
  const ellipse = fitEllipse(points);
  if (!ellipse) return null;
  const distances = points.map((point) => distanceTo(ellipse, point));
  const squares = distances.reduce((sum, distance) => sum + distance * distance, 0);
  return {
    ellipse,
    residual: Math.sqrt(squares / distances.length),
    arc: arcFraction(ellipse, points, distances),
  };
}

/* Fit an ellipse robustly: each round weighs points by their distance from the last ellipse. */
export function fitEllipse(points) {
  if (points.length < LEAST_POINTS) return null;
  const mean = (axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
  const origin = [mean(0), mean(1)];
  const spread = points.reduce(
    (sum, [x, y]) => sum + Math.abs(x - origin[0]) + Math.abs(y - origin[1]), 0,
  );
  const unit = spread / (2 * points.length);
  if (!(unit > 0)) return null;
  const rows = powers(points.map(([x, y]) => [(x - origin[0]) / unit, (y - origin[1]) / unit]));
  let found = directFit(rows);
  for (let round = 0; round < ROBUST_ROUNDS; round++) {
    if (!found) return null;
    const distances = signedDistances(found, rows).map(Math.abs);
    const scale = Math.max(2 * 1.4826 * median(distances), 0.05 / unit);
    found = directFit(rows, distances.map((distance) => 1 / (1 + (distance / scale) ** 2)));
  }
  return found && ellipseOf(found, origin, unit);
}

function median(values) {
  const sorted = Float64Array.from(values).sort();
  const low = (sorted.length - 1) >> 1, high = sorted.length >> 1;
  return (sorted[low] + sorted[high]) / 2;
}

/* A point as (u, v) of the unit circle that the outline is stretched from. */
function inUnitCircle({ centerX, centerY, semiMajor, semiMinor, angle }, [x, y]) {
  const cos = Math.cos(angle), sin = Math.sin(angle), dx = x - centerX, dy = y - centerY;
  return [(dx * cos + dy * sin) / semiMajor, (dy * cos - dx * sin) / semiMinor];
}

/* Sampson distance of a point to the outline; negative inside. */
function distanceTo(ellipse, point) {
  const [u, v] = inUnitCircle(ellipse, point), radius = Math.hypot(u, v);
  if (radius === 0) return -ellipse.semiMinor;
  const gradient = Math.hypot(u / ellipse.semiMajor, v / ellipse.semiMinor);
  return ((radius - 1) * radius) / Math.max(gradient, 1e-12);
}

/* Share of the ellipse's sectors in which some boundary point lies near the outline. */
function arcFraction(ellipse, points, distances) {
  const seen = new Set();
  points.forEach((point, i) => {
    if (Math.abs(distances[i]) >= 0.1 * ellipse.semiMinor) return;
    const [u, v] = inUnitCircle(ellipse, point);
    const turn = (((Math.atan2(v, u) / (2 * Math.PI)) % 1) + 1) % 1;
    seen.add(Math.floor(turn * SECTORS) % SECTORS);
  });
  return seen.size / SECTORS;
}
