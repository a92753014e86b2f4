/* The part of an image that the network sees, as in edgeseg/measure/framing.py. */
import { roundEven } from "./resize.js";

const ELLIPSE_POINTS = 180, LEAST_PX = 8;

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
