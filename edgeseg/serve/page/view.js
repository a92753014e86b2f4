/* The part of an image that the network sees, as in edgeseg/measure/framing.py, stretched to its input:
   to the byte what OpenCV's resize makes of it, which the networks have learnt on. A browser's canvas
   scales otherwise.

   An image is { pixels: Uint8Array, width, height }, row after row. */

const ELLIPSE_POINTS = 180, LEAST_PX = 8;
const LINEAR_ONE = 2048; // OpenCV's weights of 11 bits
const LEAST_SHARE = 1e-3; // of a pixel; OpenCV leaves out what is less

/* The pixels of a view; black where it reaches beyond the image. */
export function cut(gray, { left, top, width, height, inverted }) {
  const pixels = new Uint8Array(width * height);
  const fromX = Math.max(left, 0), toX = Math.min(left + width, gray.width);
  const toY = Math.min(top + height, gray.height);
  for (let y = Math.max(top, 0); y < toY && fromX < toX; y++) {
    const line = gray.pixels.subarray(y * gray.width + fromX, y * gray.width + toX);
    const place = (y - top) * width + fromX - left;
    pixels.set(inverted ? line.map((value) => 255 - value) : line, place);
  }
  return { pixels, width, height };
}

/* The view around a head that networks are trained on: centred and undistorted. */
export function around(ellipse, [shareX, shareY], input, pixelSize) {
  const unitY = pixelSize ? pixelSize.yMm / pixelSize.xMm : 1;
  const points = ellipses.points(ellipses.scaled(ellipse, 1, unitY), ELLIPSE_POINTS);
  const [[lowX, highX], [lowY, highY]] = [0, 1].map((axis) => {
    const values = points.map((point) => point[axis]);
    return [Math.min(...values), Math.max(...values)];
  });
  const aspect = input.width / input.height;
  const wide = Math.max((highX - lowX) / shareX, ((highY - lowY) / shareY) * aspect);
  const width = Math.max(LEAST_PX, roundEven(wide));
  const height = Math.max(LEAST_PX, roundEven(wide / aspect / unitY));
  return {
    left: roundEven((lowX + highX) / 2 + 0.5 - width / 2),
    top: roundEven((lowY + highY) / 2 / unitY + 0.5 - height / 2),
    width, height,
  };
}

/* Round halves to the even neighbour, as Python and OpenCV do it. */
export function roundEven(value) {
  const below = Math.floor(value), rest = value - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}

/* The image in another size: averages where it shrinks, linear where a side grows. */
export function stretched(image, width, height) {
  const across = image.width / width, down = image.height / height;
  const isWhole = Number.isInteger(across) && Number.isInteger(down);
  const stretch = across < 1 || down < 1 ? interpolated : isWhole ? averagedBlocks : averaged;
  return { pixels: stretch(image, width, height), width, height };
}

/* Averages of blocks of whole pixels. */
function averagedBlocks({ pixels, width: stride, height: lines }, width, height) {
  const across = stride / width, down = lines / height;
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
  rows.forEach(({ from, to, weight }, i) => {
    line.fill(0);
    for (const column of columns) {
      const value = image.pixels[from * image.width + column.from];
      line[column.to] += Math.fround(value * column.weight);
    }
    for (let x = 0; x < width; x++) sums[x] += Math.fround(weight * line[x]);
    if (rows[i + 1]?.to === to) return;
    result.set(sums.map(roundEven), to * width);
    sums.fill(0);
  });
  return result;
}

/* Which old pixels go into which new ones of a row or a column, and with which weight. */
function shares(oldSide, newSide) {
  const found = [], scale = 1 / (newSide / oldSide);
  for (let to = 0; to < newSide; to++) {
    const start = to * scale, end = start + scale;
    const size = Math.min(scale, oldSide - start);
    const last = Math.min(Math.floor(end), oldSide - 1);
    const first = Math.min(Math.ceil(start), last);
    const add = (from, share) => found.push({ from, to, weight: Math.fround(share / size) });
    if (first - start > LEAST_SHARE) add(first - 1, first - start);
    for (let pixel = first; pixel < last; pixel++) add(pixel, 1);
    if (end - last > LEAST_SHARE) add(last, Math.min(end - last, 1, size));
  }
  return found;
}

/* Linear interpolation with weights of 11 bits, as OpenCV does it for bytes. */
function interpolated(image, width, height) {
  const columns = neighbours(image.width, width).map(inBits);
  const result = new Uint8Array(height * width);
  const stretch = (row) => columns.map(([left, right, weight]) => {
    const start = row * image.width;
    return image.pixels[start + left] * (LINEAR_ONE - weight) + image.pixels[start + right] * weight;
  });
  neighbours(image.height, height).map(inBits).forEach(([first, second, weight], y) => {
    const upper = stretch(first), lower = stretch(second);
    for (let x = 0; x < width; x++) {
      const above = ((LINEAR_ONE - weight) * (upper[x] >> 4)) >> 16;
      result[y * width + x] = (above + ((weight * (lower[x] >> 4)) >> 16) + 2) >> 2;
    }
  });
  return result;
}

const inBits = ([first, second, weight]) => [first, second, roundEven(weight * LINEAR_ONE)];

/* The two old pixels between which each new one lies, and the weight of the second, in single precision
   or as `round` says. */
export function neighbours(oldSide, newSide, round = Math.fround) {
  const scale = 1 / (newSide / oldSide), last = oldSide - 1;
  return Array.from({ length: newSide }, (_, i) => {
    const place = round((i + 0.5) * scale - 0.5), below = Math.floor(place);
    const [first, second] = [below, below + 1].map((at) => Math.min(Math.max(at, 0), last));
    return [first, second, round(place - below)];
  });
}
