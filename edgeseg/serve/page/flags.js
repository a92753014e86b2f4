/* Reasons not to trust a measurement, as edgeseg/measure/quality.py has them. */

const MOST_RESIDUAL = 0.03, LEAST_ARC = 0.75, LEAST_SOLIDITY = 0.95, MOST_OTHER = 0.05;
const BARS = 20, BAR_RANGE = 12, OUTLINE_POINTS = 90;

/* Names of the flags raised, in the order of the model's list.

   seen: { outline, ellipse }; look: { view, presence }; looked: { change, otherShare }. */
export function raisedFlags(seen, look, looked, gray, pixelSize, model) {
  const { outline, ellipse } = seen, { fit } = outline, { limits } = model;
  const outside = shareOutside(ellipse, gray);
  const inMm = pixelSize && ellipses.scaled(ellipse, pixelSize.xMm, pixelSize.yMm);
  const shape = inMm ?? ellipse;
  const raised = {
    touches_border: outside > limits.cut_share,
    irregular_outline: fit.residual > MOST_RESIDUAL * fit.ellipse.semiMinor ||
      (!outside && solidity(outline, look.view) < LEAST_SOLIDITY),
    incomplete_outline: fit.arc < LEAST_ARC,
    several_regions: looked.otherShare > MOST_OTHER,
    unusual_shape: isOutside(shape.semiMinor / shape.semiMajor, limits.axis_ratio),
    hc_out_of_range: inMm !== null && isOutside(ellipses.circumference(inMm), limits.hc_mm),
    field_of_view_out_of_range: pixelSize !== null &&
      isOutside(gray.width * pixelSize.xMm, limits.field_of_view_mm),
    square_image: pixelSize !== null && mayBeStretched(gray, pixelSize),
    looks_differ: looked.change > limits.look_change,
    low_confidence: outline.confidence < limits.confidence,
    unlike_a_head: look.presence !== null && look.presence < limits.presence_doubted,
  };
  return Object.keys(model.flags).filter((name) => raised[name]);
}

/* Share of an ellipse's outline, by angle, that lies outside an image. */
function shareOutside(ellipse, { width, height }) {
  const points = ellipses.points(ellipse, OUTLINE_POINTS);
  const isBeyond = ([x, y]) => x < -0.5 || y < -0.5 || x > width - 0.5 || y > height - 0.5;
  return points.filter(isBeyond).length / OUTLINE_POINTS;
}

/* Area of the region over that of the ellipse, or the other way round, at most 1. */
function solidity({ region, fit }, view) {
  const area = region.area * (view.width / region.width) * (view.height / region.height);
  const ratio = area / (Math.PI * fit.ellipse.semiMajor * fit.ellipse.semiMinor);
  return Math.min(ratio, 1 / ratio);
}

/* Whether an image is as wide as high, without bars that keep its scan undistorted. */
function mayBeStretched(gray, { xMm, yMm }) {
  const { width, height } = gray;
  if (width !== height || xMm !== yMm) return false;
  const bar = Math.max(1, Math.floor(height / BARS));
  const rows = rangeOf(gray, (x, y) => y < bar || y >= height - bar);
  const columns = rangeOf(gray, (x) => x < bar || x >= width - bar);
  return rows > BAR_RANGE && columns > BAR_RANGE;
}

function rangeOf({ pixels, width, height }, isTaken) {
  let low = 255, high = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!isTaken(x, y)) continue;
      const value = pixels[y * width + x];
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  return high - low;
}

function isOutside(value, [low, high]) {
  return !(low * 0.999 <= value && value <= high * 1.001);
}
