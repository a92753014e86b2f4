/* Reasons not to trust a measurement, as edgeseg/measure/quality.py has them. */

const MOST_RESIDUAL = 0.03, LEAST_ARC = 0.75, LEAST_SOLIDITY = 0.95, MOST_OTHER = 0.05;
const BARS = 20, BAR_RANGE = 12, OUTLINE_POINTS = 90;

/* Names of the flags raised, in the order of the model's list.

   look: of measure.js, the last one; looked: { change, otherShare } of all of them. */
export function raisedFlags({ outline, ellipse, view, presence }, looked, gray, pixelSize, model) {
  const { fit, confidence } = outline, { limits } = model;
  const outside = shareOutside(ellipse, gray);
  const inMm = pixelSize && ellipses.scaled(ellipse, pixelSize.xMm, pixelSize.yMm);
  const shape = inMm ?? ellipse;
  const raised = {
    touches_border: outside > limits.cut_share,
    irregular_outline: fit.residual > MOST_RESIDUAL * fit.ellipse.semiMinor ||
      (!outside && solidity(outline, view) < LEAST_SOLIDITY),
    incomplete_outline: fit.arc < LEAST_ARC,
    several_regions: looked.otherShare > MOST_OTHER,
    unusual_shape: isOutside(shape.semiMinor / shape.semiMajor, limits.axis_ratio),
    hc_out_of_range: inMm !== null && isOutside(ellipses.circumference(inMm), limits.hc_mm),
    field_of_view_out_of_range: pixelSize !== null &&
      isOutside(gray.width * pixelSize.xMm, limits.field_of_view_mm),
    square_image: pixelSize !== null && mayBeStretched(gray, pixelSize),
    looks_differ: looked.change > limits.look_change,
    low_confidence: confidence < limits.confidence,
    unlike_a_head: presence !== null && presence < limits.presence_doubted,
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
function mayBeStretched({ pixels, width, height }, { xMm, yMm }) {
  if (width !== height || xMm !== yMm) return false;
  const bar = Math.max(1, Math.floor(height / BARS));
  const isInBar = (at) => at < bar || at >= height - bar;
  const inRows = pixels.filter((_, i) => isInBar(Math.floor(i / width)));
  const inColumns = pixels.filter((_, i) => isInBar(i % width));
  return [inRows, inColumns].every((values) => {
    const [low, high] = [Math.min, Math.max].map((of) => values.reduce((a, b) => of(a, b)));
    return high - low > BAR_RANGE;
  });
}

const isOutside = (value, [low, high]) => !(low * 0.999 <= value && value <= high * 1.001);
