/* A gray image stretched to a network's input: to the byte what OpenCV's resize makes of it, which
   the networks have learnt on. A browser's canvas scales otherwise.

   An image is { pixels: Uint8Array, width, height }, row after row. */
import { roundEven } from "./rounding.js";

const LINEAR_ONE = 2048; // OpenCV's weights of 11 bits
const LEAST_SHARE = 1e-3; // of a pixel; OpenCV leaves out what is less

/* The image in another size: averages where it shrinks, linear where a side grows. */
export function stretched(image, width, height) {
  if (image.width === width && image.height === height) return image;
  return { pixels: stretchedPixels(image, width, height), width, height };
}

function stretchedPixels(image, width, height) {
  if (image.height < height || image.width < width) return interpolated(image, width, height);
  const across = image.width / width, down = image.height / height;
  if (Number.isInteger(across) && Number.isInteger(down)) {
    return averagedBlocks(image, width, height, across, down);
  }
  return averaged(image, width, height);
}

/* Averages of blocks of whole pixels. */
function averagedBlocks(image, width, height, across, down) {
  const { pixels, width: stride } = image;
  const result = new Uint8Array(height * width);
  const share = Math.fround(1 / (across * down));
  const isQuarter = across === 2 && down === 2; // whose halves OpenCV rounds up
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      let sum = 0;
      for (let row = 0; row < down; row++) {
        const start = (y * down + row) * stride + x * across;
        for (let i = start; i < start + across; i++) sum += pixels[i];
      }
      result[at] = isQuarter ? (sum + 2) >> 2 : roundEven(Math.fround(sum * share));
    }
  }
  return result;
}

/* Averages of areas that cut pixels, in single precision. */
function averaged(image, width, height) {
  const columns = shares(image.width, width), rows = shares(image.height, height);
  const line = new Float32Array(width), sums = new Float32Array(width);
  const result = new Uint8Array(height * width);
  let current = 0;
  const store = () => {
    for (let x = 0; x < width; x++) result[current * width + x] = roundEven(sums[x]);
    sums.fill(0);
  };
  for (let i = 0; i < rows.weight.length; i++) {
    if (rows.to[i] !== current) {
      store();
      current = rows.to[i];
    }
    averageRow(image.pixels, rows.from[i] * image.width, columns, line);
    const weight = rows.weight[i];
    for (let x = 0; x < width; x++) sums[x] += Math.fround(weight * line[x]);
  }
  store();
  return result;
}

function averageRow(pixels, start, { from, to, weight }, line) {
  line.fill(0);
  for (let i = 0; i < weight.length; i++) {
    line[to[i]] += Math.fround(pixels[start + from[i]] * weight[i]);
  }
}

/* Which old pixels go into which new ones of a row or a column, and with which weight. */
function shares(oldSide, newSide) {
  const from = [], to = [], weight = [];
  const scale = 1 / (newSide / oldSide);
  for (let i = 0; i < newSide; i++) {
    const start = i * scale, end = start + scale;
    const size = Math.min(scale, oldSide - start);
    const last = Math.min(Math.floor(end), oldSide - 1);
    const first = Math.min(Math.ceil(start), last);
    const add = (pixel, share) => {
      from.push(pixel);
      to.push(i);
      weight.push(share / size);
    };
    if (first - start > LEAST_SHARE) add(first - 1, first - start);
    for (let pixel = first; pixel < last; pixel++) add(pixel, 1);
    if (end - last > LEAST_SHARE) add(last, Math.min(end - last, 1, size));
  }
  const ints = (values) => Int32Array.from(values);
  return { from: ints(from), to: ints(to), weight: Float32Array.from(weight) };
}

/* Linear interpolation with weights of 11 bits. */
function interpolated(image, width, height) {
  const columns = neighbours(image.width, width), rows = neighbours(image.height, height);
  const result = new Uint8Array(height * width);
  const lines = new Map(); // rows of the image, stretched; two are needed at a time
  const line = (row) => {
    if (!lines.has(row)) {
      if (lines.size > 1) lines.delete(Math.min(...lines.keys()));
      lines.set(row, interpolateRow(image.pixels, row * image.width, columns));
    }
    return lines.get(row);
  };
  for (let y = 0; y < height; y++) {
    const upper = line(rows.first[y]), lower = line(rows.second[y]);
    const above = LINEAR_ONE - rows.weight[y], below = rows.weight[y];
    for (let x = 0; x < width; x++) {
      const sum = ((above * (upper[x] >> 4)) >> 16) + ((below * (lower[x] >> 4)) >> 16);
      result[y * width + x] = (sum + 2) >> 2;
    }
  }
  return result;
}

function interpolateRow(pixels, start, { first, second, weight }) {
  const line = new Int32Array(first.length);
  for (let x = 0; x < line.length; x++) {
    const left = pixels[start + first[x]], right = pixels[start + second[x]];
    line[x] = left * (LINEAR_ONE - weight[x]) + right * weight[x];
  }
  return line;
}

/* The two old pixels between which each new one lies, and the weight of the second. */
function neighbours(oldSide, newSide) {
  const first = new Int32Array(newSide), second = new Int32Array(newSide);
  const weight = new Int32Array(newSide);
  const scale = 1 / (newSide / oldSide);
  for (let i = 0; i < newSide; i++) {
    const place = Math.fround((i + 0.5) * scale - 0.5);
    const below = Math.floor(place);
    first[i] = Math.min(Math.max(below, 0), oldSide - 1);
    second[i] = Math.min(Math.max(below + 1, 0), oldSide - 1);
    weight[i] = roundEven(Math.fround(place - below) * LINEAR_ONE);
  }
  return { first, second, weight };
}
