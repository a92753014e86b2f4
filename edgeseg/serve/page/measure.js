/* Measure what a model is for: a structure with an elliptic outline in two or three looks of the
   network, as edgeseg/measure/outline.py does, or regions in one. */
import { bestAgreement, findOutline, meanOf } from "./outline.js";
import { measureRegions } from "./regions.js";
import { around, cut, stretched } from "./view.js";

const BLACK_ON_WHITE = 150, MORE_LOOKS = 2;
const MOST_RESIDUAL = 0.03, LEAST_ARC = 0.75, LEAST_SOLIDITY = 0.95, MOST_OTHER = 0.05;
const BARS = 20, BAR_RANGE = 12, OUTLINE_POINTS = 90;
const WIDEST = 4, LARGEST = 4, SMALL_PX = 1_000_000;

/* Measure an image.

   gray: { pixels, width, height }; pixelSize: { xMm, yMm } or null; network: of network.js;
   model: model.json. Returns { status, reason, flags, confidence, figures, ellipse, lines }, and of
   regions labels instead of an ellipse. */
export async function measure(gray, pixelSize, network, model) {
  if (model.task === "regions") return measureRegions(gray, pixelSize, network, model);
  const inverted = meanOf(gray.pixels) > BLACK_ON_WHITE;
  const whole = { left: 0, top: 0, width: gray.width, height: gray.height };
  let look = await lookAt(gray, { ...whole, inverted }, network, model);
  let change = 0, otherShare = look.otherShare;
  for (let i = 0; i < MORE_LOOKS && look.ellipse; i++) {
    const view = around(look.ellipse, model.limits.view_shares, look.map, pixelSize);
    if (isMostlyBeyond(view, gray)) break;
    const before = ellipses.circumference(look.ellipse);
    look = await lookAt(gray, { ...view, inverted }, network, model);
    otherShare = Math.max(otherShare, look.otherShare);
    const after = look.ellipse ? ellipses.circumference(look.ellipse) : Infinity;
    change = Math.abs(after - before) / before;
    if (change < model.limits.look_change / 2) break;
  }
  if (!look.ellipse) return nothing(look.outline, model);
  return judge(look, { change, otherShare }, gray, pixelSize, model);
}

/* Look at a view, and find the structure in the network's answer, in pixels of the image.

   Returns { view, map, presence, outline, ellipse, otherShare }: the area of the regions beside the
   main one as a fraction of that. Where none is found there is no ellipse, and outline is the reason. */
async function lookAt(gray, view, network, model) {
  const { input_width: width, input_height: height } = model;
  const { maps: [values], presence } = await network.run(stretched(cut(gray, view), width, height).pixels);
  const map = { values, width, height }, outline = findOutline(map, view, model.threshold);
  const look = { view, map, presence, outline, ellipse: null, otherShare: 0 };
  if (typeof outline === "string") return look;
  const { region, fit: { ellipse } } = outline;
  const moved = { centerX: ellipse.centerX + view.left, centerY: ellipse.centerY + view.top };
  return { ...look, ellipse: { ...ellipse, ...moved }, otherShare: region.otherArea / region.area };
}

/* Decide whether the last look shows the structure, and which reasons there are not to trust it. */
function judge(look, looked, gray, pixelSize, model) {
  const { limits, interval, threshold } = model, { outline, ellipse } = look;
  const { confidence } = outline;
  if (confidence < limits.agreement) {
    const agreed = bestAgreement(look.map, outline, look.view, threshold);
    if (agreed < limits.agreement) {
      return nothing(`the shape seen is not an ellipse (agreement ${agreed.toFixed(2)})`, model);
    }
  }
  const flags = raisedFlags(look, looked, gray, pixelSize, model);
  const found = {
    status: flags.length ? "doubtful" : "ok",
    reason: flags.map((flag) => model.flags[flag]).join("; "), flags, confidence, ellipse,
  };
  if (model.task === "ellipse") return { ...found, ...describe(ellipse, pixelSize, model) };
  const figures = headFigures.measure(ellipse, { pixelSize, confidence, interval });
  const isRare = figures.hc_mm !== null && figures.hc_mm < limits.rare_hc_mm;
  if (look.presence !== null && look.presence < limits.presence_refused && !isRare) {
    return nothing("the shape seen does not look like a fetal head", model);
  }
  const shown = flags.length ? headFigures.dropAges(figures) : figures;
  return { ...found, figures: shown, lines: headFigures.captionLines(shown) };
}

/* Figures and lines of a round structure, as edgeseg/measure/round_structure.py has them. */
function describe(ellipse, pixelSize, { structures: [{ name }] }) {
  const px = ellipses.circumference(ellipse);
  const figures = { [`${name}_circumference_px`]: px, ...ellipses.figures(ellipse) };
  if (!pixelSize) {
    return { figures, lines: [`${name} circumference ${px.toFixed(1)} px (no pixel size)`] };
  }
  const inMm = ellipses.scaled(ellipse, pixelSize.xMm, pixelSize.yMm);
  const mm = ellipses.circumference(inMm), [long, short] = [2 * inMm.semiMajor, 2 * inMm.semiMinor];
  Object.assign(figures, {
    [`${name}_circumference_mm`]: mm, [`${name}_long_axis_mm`]: long,
    [`${name}_short_axis_mm`]: short, [`${name}_area_mm2`]: Math.PI * long * short / 4,
  });
  const axes = `${long.toFixed(1)} x ${short.toFixed(1)} mm`;
  return { figures, lines: [`${name} circumference ${mm.toFixed(1)} mm`, axes] };
}

function nothing(seen, { task, structures: [{ name }] }) {
  const figures = task === "head" ? headFigures.none() : {};
  return {
    status: "empty", reason: `no ${name} found: ${seen}`, flags: [], confidence: 0,
    figures, ellipse: null, lines: [],
  };
}

/* Whether a view reaches too far beyond an image to be worth its memory. */
function isMostlyBeyond(view, { width, height }) {
  const tooLarge = view.width * view.height > LARGEST * Math.max(width * height, SMALL_PX);
  return tooLarge || Math.max(view.width, view.height) > WIDEST * Math.max(width, height);
}

/* Names of the flags raised, in the order of the model's list, as in edgeseg/measure/quality.py.

   look: the last one; looked: { change, otherShare } of all of them. */
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
