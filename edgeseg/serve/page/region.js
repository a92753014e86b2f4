/* The regions of a probability map and their borders, as edgeseg/measure/region.py has them.

   A map is { values: Float32Array, width, height }. */

/* The largest 4-connected region at or above a threshold, its holes filled; null if there is none. */
export function mainRegion({ values, width, height }, threshold) {
  const limit = Math.fround(threshold);
  const inside = Uint8Array.from(values, (value) => (value >= limit ? 1 : 0));
  const { labels, areas } = labelled(inside, width, height);
  if (!areas.length) return null;
  const best = areas.indexOf(Math.max(...areas));
  const otherArea = areas.reduce((sum, area) => sum + area, 0) - areas[best];
  const mask = filled(labels, best + 1, width, height);
  return { mask, width, height, area: mask.reduce((sum, bit) => sum + bit, 0), otherArea };
}

/* Number the 4-connected regions from 1, in the order of their first pixels. */
function labelled(inside, width, height) {
  const labels = new Int32Array(inside.length), areas = [], waiting = [];
  for (let start = 0; start < inside.length; start++) {
    if (!inside[start] || labels[start]) continue;
    const label = areas.push(0);
    labels[start] = label;
    waiting.push(start);
    while (waiting.length) {
      const place = waiting.pop();
      areas[label - 1] += 1;
      for (const next of neighbours(place, width, height)) {
        if (inside[next] && !labels[next]) {
          labels[next] = label;
          waiting.push(next);
        }
      }
    }
  }
  return { labels, areas };
}

function neighbours(place, width, height) {
  const x = place % width, found = [];
  if (x > 0) found.push(place - 1);
  if (x < width - 1) found.push(place + 1);
  if (place >= width) found.push(place - width);
  if (place < width * (height - 1)) found.push(place + width);
  return found;
}

/* One region with its holes: all that the outside does not reach. */
function filled(labels, label, width, height) {
  const wide = width + 2, outside = new Uint8Array(wide * (height + 2)), waiting = [0];
  const isRegion = (place) => {
    const x = (place % wide) - 1, y = Math.floor(place / wide) - 1;
    return x >= 0 && y >= 0 && x < width && y < height && labels[y * width + x] === label;
  };
  outside[0] = 1;
  while (waiting.length) {
    for (const next of neighbours(waiting.pop(), wide, height + 2)) {
      if (!outside[next] && !isRegion(next)) {
        outside[next] = 1;
        waiting.push(next);
      }
    }
  }
  return Uint8Array.from(labels, (_, i) => 1 - outside[(Math.floor(i / width) + 1) * wide + (i % width) + 1]);
}

/* Points [x, y] where the probability crosses the threshold around a region, to sub-pixel. */
export function boundaryPoints({ values, width, height }, region, threshold) {
  const points = [];
  const cross = (here, next, x, y, isDown) => {
    if (region.mask[here] === region.mask[next]) return;
    const step = (threshold - values[here]) / (values[next] - values[here]);
    const along = Math.min(Math.max(step, 0), 1);
    points.push(isDown ? [x, y + along] : [x + along, y]);
  };
  for (let y = 0; y < height - 1; y++) {
    for (let x = 0; x < width; x++) cross(y * width + x, (y + 1) * width + x, x, y, true);
  }
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width - 1; x++) cross(y * width + x, y * width + x + 1, x, y, false);
  }
  return points;
}
