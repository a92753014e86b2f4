/* The part of an image that the network sees, as in edgeseg/measure/framing.py. */
import { roundEven } from "./rounding.js";

const ELLIPSE_POINTS = 180, LEAST_PX = 8;

export function wholeView({ width, height }, inverted) {
  return { left: 0, top: 0, width, height, inverted };
}

/* The pixels of a view; black where it reaches beyond the image. */
export function cut(gray, view) {
  const pixels = new Uint8Array(view.width * view.height);
  const fromX = Math.max(view.left, 0), toX = Math.min(view.left + view.width, gray.width);
  const fromY = Math.max(view.top, 0), toY = Math.min(view.top + view.height, gray.height);
  if (fromX >= toX) return { pixels, width: view.width, height: view.height };
  for (let y = fromY; y < toY; y++) {
    const line = gray.pixels.subarray(y * gray.width + fromX, y * gray.width + toX);
    const place = (y - view.top) * view.width + fromX - view.left;
    if (view.inverted) for (let i = 0; i < line.length; i++) pixels[place + i] = 255 - line[i];
    else pixels.set(line, place);
  }
  return { pixels, width: view.width, height: view.height };
}

/* The view around a head that networks are trained on: centred and undistorted. */
export function around(ellipse, [shareX, shareY], input, pixelSize) {
  const unitY = pixelSize ? pixelSize.yMm / pixelSize.xMm : 1;
  const points = ellipses.points(ellipses.scaled(ellipse, 1, unitY), ELLIPSE_POINTS);
  const xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
  const [lowX, highX] = [Math.min(...xs), Math.max(...xs)];
  const [lowY, highY] = [Math.min(...ys), Math.max(...ys)];
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
