/* Ellipses by direct least squares (Halir and Flusser 1998), as in edgeseg/measure/ellipse.py. */

const MOST_STEPS = 60, SINGULAR = 1e-13;

const dot = (u, v) => u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
const cross = (u, v) => [
  u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0],
];

/* x², xy, y², x, y and 1 of points. */
export function powers(points) {
  return points.map(([x, y]) => [x * x, x * y, y * y, x, y, 1]);
}

/* The ellipse a x² + b xy + c y² + d x + e y + f = 0 that fits points best, as `powers`; null if none. */
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
  const least = determinant / level / level / largest;
  if (!(Number.isFinite(level) && mean > 0 && least > 0)) return null;
  const [semiMajor, semiMinor] = [1 / Math.sqrt(least), 1 / Math.sqrt(largest)];
  const angle = ((Math.atan2(b / level, (a - c) / level) + Math.PI) / 2) % Math.PI;
  return { centerX, centerY, semiMajor, semiMinor, angle };
}
