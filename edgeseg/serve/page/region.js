/* The regions of a probability map and their borders, as edgeseg/measure/region.py has them.

   A map is { values: Float32Array, width, height }. */

/* The largest 4-connected region at or above a threshold, its holes filled; null if there is none. */
export function mainRegion({ values, width, height }, threshold) {
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
function reached(places, isTaken, seen, width) {
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
export function boundaryPoints({ values, width, height }, region, threshold) {
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
