/* Measure regions of any classes in one look, as edgeseg/measure/regions.py does. */
import { reached } from "./outline.js";
import { neighbours, stretched } from "./view.js";

const LEAST_PIECE = 1e-4; // share of the image

/* Measure the regions in an image; see measure.js. `labels` has each pixel's class number. */
export async function measureRegions(gray, pixelSize, network, model) {
  const { input_width: width, input_height: height, structures } = model;
  const { maps } = await network.run(stretched(gray, width, height).pixels);
  const labels = label(maps, { width, height }, gray, model), figures = {};
  structures.forEach(({ name }, i) => describe(figures, name, pieces(labels, i + 1, gray), pixelSize));
  if (!labels.some((number) => number)) {
    const peak = (map) => map.reduce((most, value) => Math.max(most, value)).toFixed(2);
    const highest = structures.map(({ name }, i) => `${name} ${peak(maps[i])}`).join(", ");
    const reason = `nothing found: highest probability ${highest}`;
    return { status: "empty", reason, flags: [], confidence: 0, figures, ellipse: null, lines: [] };
  }
  const isAtEdge = (_, i) => i < gray.width || i >= labels.length - gray.width
    || i % gray.width === 0 || i % gray.width === gray.width - 1;
  const flags = labels.some((number, i) => number && isAtEdge(number, i)) ? ["touches_border"] : [];
  return {
    status: flags.length ? "doubtful" : "ok",
    reason: flags.map((flag) => model.flags[flag]).join("; "),
    flags, confidence: agreement(maps, label(maps, { width, height }, { width, height }, model)),
    figures, ellipse: null, labels, lines: [caption(structures, figures)],
  };
}

/* Number the classes of an image's pixels by maps, which are enlarged as OpenCV does. */
function label(maps, { width, height }, size, { threshold, exclusive }) {
  const [columns, rows] = [[width, size.width], [height, size.height]].map((sides) =>
    neighbours(...sides, Number));
  const limit = Math.fround(threshold), labels = new Uint8Array(size.width * size.height);
  const isExclusive = exclusive && maps.length > 1;
  rows.forEach(([top, bottom, down], y) => columns.forEach(([left, right, across], x) => {
    let [highest, sum, number] = [-1, 0, 0];
    maps.forEach((map, i) => {
      const above = map[top * width + left] * (1 - across) + map[top * width + right] * across;
      const below = map[bottom * width + left] * (1 - across) + map[bottom * width + right] * across;
      const value = Math.fround(above * (1 - down) + below * down);
      sum += value;
      if (value > highest) [highest, number] = [value, i + 1];
    });
    const isPresent = isExclusive ? highest > 1 - sum : highest >= limit;
    labels[y * size.width + x] = isPresent ? number : 0;
  }));
  return labels;
}

/* A class's connected pieces, each a list of places, and how many of them are no speckle. */
function pieces(labels, number, { width }) {
  const seen = new Uint8Array(labels.length), all = [];
  labels.forEach((each, place) => {
    if (each === number && !seen[place]) {
      all.push(reached([place], (next) => labels[next] === number, seen, width));
    }
  });
  const count = all.filter(({ length }) => length >= LEAST_PIECE * labels.length).length;
  return { all, count, width };
}

/* Add a class's figures. */
function describe(figures, name, { all, count, width }, pixelSize) {
  const area = all.reduce((sum, { length }) => sum + length, 0);
  Object.assign(figures, { [`${name}_area_px`]: area, [`${name}_count`]: count });
  if (!pixelSize) return;
  const { xMm, yMm } = pixelSize;
  figures[`${name}_area_mm2`] = area * xMm * yMm;
  if (!area) return;
  const largest = all.reduce((best, each) => (each.length > best.length ? each : best));
  const corners = largest.flatMap((place) => [-0.5, 0.5].flatMap((dy) => [-0.5, 0.5].map((dx) => [
    (place % width + dx) * xMm, (Math.floor(place / width) + dy) * yMm,
  ])));
  const [length, across] = smallestRectangle(hull(corners));
  Object.assign(figures, { [`${name}_length_mm`]: length, [`${name}_width_mm`]: across });
}

/* The corners of the smallest convex polygon around points, by Andrew's monotone chain. */
function hull(points) {
  points.sort(([x0, y0], [x1, y1]) => x0 - x1 || y0 - y1);
  const turn = ([ax, ay], [bx, by], [cx, cy]) => (bx - ax) * (cy - ay) - (by - ay) * (cx - ax);
  const chain = (all) => all.reduce((line, point) => {
    while (line.length > 1 && turn(line.at(-2), line.at(-1), point) <= 0) line.pop();
    line.push(point);
    return line;
  }, []).slice(0, -1);
  return [...chain(points), ...chain(points.toReversed())];
}

/* The longer and the shorter side of the smallest rectangle around a polygon: along one edge of it. */
function smallestRectangle(corners) {
  const sides = corners.map(([x, y], i) => {
    const [nextX, nextY] = corners[(i + 1) % corners.length];
    const angle = Math.atan2(nextY - y, nextX - x), cos = Math.cos(angle), sin = Math.sin(angle);
    const extent = (along) => {
      const values = corners.map(along);
      return Math.max(...values) - Math.min(...values);
    };
    return [extent(([u, v]) => u * cos + v * sin), extent(([u, v]) => v * cos - u * sin)];
  });
  const [one, two] = sides.reduce((best, each) => (each[0] * each[1] < best[0] * best[1] ? each : best));
  return [Math.max(one, two), Math.min(one, two)];
}

/* The least, over the classes seen, of the soft Dice between a class's map and its pixels. */
function agreement(maps, labels) {
  return Math.min(...maps.map((map, i) => {
    let [area, both, total] = [0, 0, 0];
    map.forEach((value, place) => {
      total += value;
      if (labels[place] === i + 1) [area, both] = [area + 1, both + value];
    });
    return area ? (2 * both) / (total + area) : Infinity;
  }));
}

function caption(structures, figures) {
  return structures.filter(({ name }) => figures[`${name}_area_px`]).map(({ name }) => {
    const mm2 = figures[`${name}_area_mm2`];
    return `${name} ${mm2 === undefined ? `${figures[`${name}_area_px`]} px` : `${mm2.toFixed(0)} mm2`}`;
  }).join(", ");
}
