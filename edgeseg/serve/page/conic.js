/* Ellipses by direct least squares (Halir and Flusser 1998), as edgeseg/measure/conic.py has them. */

const MOST_STEPS = 60, SINGULAR = 1e-13;

const dot = (u, v) => u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
const cross = (u, v) => [
  u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0],
];

/* x², xy, y², x, y and 1 of points. */
export function powers(points) {
  return points.map(([x, y]) => [x * x, x * y, y * y, x, y, 1]);
}

/* The conic a x² + b xy + c y² + d x + e y + f = 0, -1 at its centre, that fits best; null if none. */
export function directFit(rows, weights) {
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
  return quadratic && scaledToCenter([...quadratic, ...t.map((row) => dot(row, quadratic))]);
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
  return determinantOf(found) > 0 ? found : null;
}

function inverted(m) {
  const columns = [cross(m[1], m[2]), cross(m[2], m[0]), cross(m[0], m[1])];
  const determinant = dot(m[0], columns[0]);
  if (!(determinant > SINGULAR * m[0][0] * m[1][1] * m[2][2])) return null;
  return columns.map((column) => column.map((value) => value / determinant));
}

function determinantOf([a, b, c]) {
  return a * c - (b * b) / 4;
}

function centerOf([a, b, c, d, e]) {
  const determinant = determinantOf([a, b, c]);
  return [((b * e) / 4 - (c * d) / 2) / determinant, ((b * d) / 4 - (a * e) / 2) / determinant];
}

function scaledToCenter(conic) {
  const [x, y] = centerOf(conic);
  const level = -(conic[5] + (conic[3] * x + conic[4] * y) / 2);
  if (level === 0 || !Number.isFinite(level)) return null;
  const scaled = conic.map((value) => value / level);
  return scaled[0] + scaled[2] > 0 && determinantOf(scaled) > 0 ? scaled : null;
}

/* Signed distance of points, as `powers`, to the outline, to first order. */
export function signedDistances([a, b, c, d, e, f], rows) {
  return rows.map(([xx, xy, yy, x, y]) => {
    const left = a * xx + b * xy + c * yy + d * x + e * y + f;
    const gradient = Math.hypot(2 * a * x + b * y + d, b * x + 2 * c * y + e) / 2;
    const square = Math.max(left + 1, 1e-8);
    return (square - Math.sqrt(square)) / Math.max(gradient, 1e-12);
  });
}

/* The ellipse in the coordinates in which `origin` and `unit` are given. */
export function ellipseOf(conic, [originX, originY], unit) {
  const [a, b, c] = conic, [x, y] = centerOf(conic);
  const mean = (a + c) / 2, spread = Math.hypot((a - c) / 2, b / 2);
  const least = determinantOf(conic) / (mean + spread);
  return {
    centerX: x * unit + originX,
    centerY: y * unit + originY,
    semiMajor: unit / Math.sqrt(least),
    semiMinor: unit / Math.sqrt(mean + spread),
    angle: ((Math.atan2(b, a - c) + Math.PI) / 2) % Math.PI,
  };
}
