/* Stretching gray images byte for byte as OpenCV does, which canvas scaling does not.

   An image is { pixels: Uint8Array, width, height }. Area averaging where it shrinks, linear
   interpolation where it grows, as edgeseg/network/preprocess.py has it. */

const COEFFICIENT_BITS = 11; // of OpenCV's fixed-point weights
const NEGLIGIBLE = 1e-3; // parts of a pixel that OpenCV's averaging leaves out

export function stretched(gray, width, height) {
  if (gray.width === width && gray.height === height) return gray;
  const shrinks = gray.width >= width && gray.height >= height;
  const pixels = shrinks ? averaged(gray, width, height) : interpolated(gray, width, height);
  return { pixels, width, height };
}

/* Round half to even, as saturate_cast does. */
export function roundHalfEven(value) {
  const floor = Math.floor(value), rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

function averaged(gray, width, height) {
  const stepX = gray.width / width, stepY = gray.height / height;
  if (Number.isInteger(stepX) && Number.isInteger(stepY)) return blockMeans(gray, width, height);
  const across = areaTable(gray.width, width), down = areaTable(gray.height, height);
  const result = new Uint8Array(width * height);
  const row = new Float32Array(width), sum = new Float32Array(width);
  let cell = 0;
  for (let y = 0; y < height; y++) {
    sum.fill(0);
    for (; cell < down.length && down[cell].to === y; cell++) {
      const { from, weight } = down[cell];
      row.fill(0);
      const start = from * gray.width;
      for (const part of across) row[part.to] += gray.pixels[start + part.from] * part.weight;
      for (let x = 0; x < width; x++) sum[x] += weight * row[x];
    }
    for (let x = 0; x < width; x++) result[y * width + x] = roundHalfEven(sum[x]);
  }
  return result;
}

/* Which pixels make which, with what weight, of a line that shrinks. */
function areaTable(from, to) {
  const step = from / to, table = [];
  for (let i = 0; i < to; i++) {
    const low = i * step, high = low + step, cell = Math.min(step, from - low);
    const last = Math.min(Math.floor(high), from - 1);
    const first = Math.min(Math.ceil(low), last);
    const add = (place, part) => table.push({ to: i, from: place, weight: Math.fround(part / cell) });
    if (first - low > NEGLIGIBLE) add(first - 1, first - low);
    for (let place = first; place < last; place++) add(place, 1);
    if (high - last > NEGLIGIBLE) add(last, Math.min(high - last, 1, cell));
  }
  return table;
}

/* Means of blocks of whole pixels; those of two by two are rounded half up. */
function blockMeans(gray, width, height) {
  const stepX = gray.width / width, stepY = gray.height / height;
  const share = Math.fround(1 / (stepX * stepY)), quarters = stepX === 2 && stepY === 2;
  const result = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let j = 0; j < stepY; j++) {
        const start = (y * stepY + j) * gray.width + x * stepX;
        for (let i = 0; i < stepX; i++) sum += gray.pixels[start + i];
      }
      result[y * width + x] = quarters ? (sum + 2) >> 2 : roundHalfEven(Math.fround(sum * share));
    }
  }
  return result;
}

function interpolated(gray, width, height) {
  const across = linearTable(gray.width, width, true), down = linearTable(gray.height, height, false);
  const result = new Uint8Array(width * height);
  const line = (row) => {
    const start = Math.min(Math.max(row, 0), gray.height - 1) * gray.width;
    return Int32Array.from(across, ({ from, first, second }) =>
      gray.pixels[start + from] * first +
      gray.pixels[start + Math.min(from + 1, gray.width - 1)] * second);
  };
  let kept = new Map();
  for (let y = 0; y < height; y++) {
    const { from, first, second } = down[y];
    const above = kept.get(from) ?? line(from), below = kept.get(from + 1) ?? line(from + 1);
    kept = new Map([[from, above], [from + 1, below]]);
    for (let x = 0; x < width; x++) {
      const upper = (first * (above[x] >> 4)) >> 16, lower = (second * (below[x] >> 4)) >> 16;
      result[y * width + x] = (upper + lower + 2) >> 2;
    }
  }
  return result;
}

/* Which two neighbours make a pixel of a line, with weights in fixed point. */
function linearTable(from, to, isRow) {
  const step = from / to, whole = 1 << COEFFICIENT_BITS;
  return Array.from({ length: to }, (_, i) => {
    const place = Math.fround((i + 0.5) * step - 0.5);
    let first = Math.floor(place), rest = Math.fround(place - first);
    if (isRow && first < 0) [first, rest] = [0, 0];
    if (isRow && first >= from - 1) [first, rest] = [from - 1, 0];
    return {
      from: first,
      first: roundHalfEven(Math.fround(1 - rest) * whole),
      second: roundHalfEven(rest * whole),
    };
  });
}
