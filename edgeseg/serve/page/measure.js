/* Measure a fetal head in two or three looks of the network, as edgeseg/measure/head.py does. */
import { bestAgreement } from "./agreement.js";
import { raisedFlags } from "./flags.js";
import { findOutline, onMap } from "./outline.js";
import { stretched } from "./resize.js";
import { around, cut, wholeView } from "./view.js";

const BLACK_ON_WHITE = 150, MORE_LOOKS = 2;
const WIDEST = 4, LARGEST = 4, SMALL_PX = 1_000_000;

/* Measure a head.

   gray: { pixels, width, height }; pixelSize: { xMm, yMm } or null; network: of network.js;
   model: model.json. Returns { status, reason, flags, confidence, figures, ellipse, lines }. */
export async function measure(gray, pixelSize, network, model) {
  const inverted = meanOf(gray) > BLACK_ON_WHITE;
  let look = await lookAt(gray, wholeView(gray, inverted), network, model);
  let seen = see(look, model.threshold);
  let change = 0, otherShare = otherShareOf(seen);
  for (let i = 0; i < MORE_LOOKS && typeof seen !== "string"; i++) {
    const view = around(seen.ellipse, model.limits.view_shares, look.map, pixelSize);
    if (isMostlyBeyond(view, gray)) break;
    look = await lookAt(gray, { ...view, inverted }, network, model);
    const before = seen;
    seen = see(look, model.threshold);
    otherShare = Math.max(otherShare, otherShareOf(seen));
    change = changeOf(before, seen);
    if (change < model.limits.look_change / 2) break;
  }
  if (typeof seen === "string") return nothing(seen);
  return judge(seen, look, { change, otherShare }, gray, pixelSize, model);
}

async function lookAt(gray, view, network, model) {
  const { input_width: width, input_height: height } = model;
  const { values, presence } = await network.run(stretched(cut(gray, view), width, height).pixels);
  return { view, map: { values, width, height }, presence };
}

/* Find the head in a network's answer, in pixels of the image; a reason if there is none. */
function see({ map, view }, threshold) {
  const outline = findOutline(map, view, threshold);
  if (typeof outline === "string") return outline;
  const { ellipse } = outline.fit;
  const moved = { centerX: ellipse.centerX + view.left, centerY: ellipse.centerY + view.top };
  return { outline, ellipse: { ...ellipse, ...moved } };
}

/* Decide whether the last look shows a head, and which reasons there are not to trust it. */
function judge(seen, look, looked, gray, pixelSize, model) {
  const { limits, interval, threshold } = model, { outline, ellipse } = seen;
  if (outline.confidence < limits.agreement) {
    const placed = onMap(outline.fit.ellipse, look.view, look.map);
    const agreed = bestAgreement(look.map, outline, placed, threshold);
    if (agreed < limits.agreement) {
      return nothing(`the shape seen is not an ellipse (agreement ${agreed.toFixed(2)})`);
    }
  }
  const figures = headFigures.measure(
    ellipse, { pixelSize, confidence: outline.confidence, interval });
  const isRare = figures.hc_mm !== null && figures.hc_mm < limits.rare_hc_mm;
  if (look.presence !== null && look.presence < limits.presence_refused && !isRare) {
    return nothing("the shape seen does not look like a fetal head");
  }
  const flags = raisedFlags(seen, look, looked, gray, pixelSize, model);
  const shown = flags.length ? headFigures.dropAges(figures) : figures;
  return {
    status: flags.length ? "doubtful" : "ok",
    reason: flags.map((flag) => model.flags[flag]).join("; "),
    flags, confidence: outline.confidence, figures: shown, ellipse,
    lines: headFigures.captionLines(shown),
  };
}

function nothing(seen) {
  return {
    status: "empty", reason: `no head found: ${seen}`, flags: [], confidence: 0,
    figures: headFigures.none(), ellipse: null, lines: [],
  };
}

function meanOf({ pixels }) {
  return pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
}

/* Change of the circumference from one look to the next, as a fraction. */
function changeOf(before, seen) {
  if (typeof seen === "string") return Infinity;
  const was = ellipses.circumference(before.ellipse);
  return Math.abs(ellipses.circumference(seen.ellipse) - was) / was;
}

/* Area of the regions beside the main one, as a fraction of that. */
function otherShareOf(seen) {
  if (typeof seen === "string") return 0;
  return seen.outline.region.otherArea / seen.outline.region.area;
}

/* Whether a view reaches too far beyond an image to be worth its memory. */
function isMostlyBeyond(view, { width, height }) {
  const tooLarge = view.width * view.height > LARGEST * Math.max(width * height, SMALL_PX);
  return tooLarge || Math.max(view.width, view.height) > WIDEST * Math.max(width, height);
}
