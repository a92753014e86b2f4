"use strict";

/* Correct a head by hand: an ellipse over the picture, moved by mouse, finger or keys. */
const pen = byId("pen");
const STORED = `edgeseg corrected ${location.pathname}`;
const LEAST_PX = 2;
const isCoarse = matchMedia("(pointer: coarse)").matches; // fingers are wide
// of the screen: rings lie beyond the ends of the axes, where they hide no bone
const RING_PX = isCoarse ? 18 : 9, GAP_PX = isCoarse ? 40 : 24;
/* What a key does: moves by pixels across and down, stretches of the longer and the shorter axis by
   hundredths, a turn by degrees. */
const KEYS = {
  ArrowLeft: [-1, 0, 0, 0, 0], ArrowRight: [1, 0, 0, 0, 0],
  ArrowUp: [0, -1, 0, 0, 0], ArrowDown: [0, 1, 0, 0, 0],
  "-": [0, 0, -1, -1, 0], "+": [0, 0, 1, 1, 0],
  a: [0, 0, -1, 0, 0], A: [0, 0, 1, 0, 0],
  b: [0, 0, 0, -1, 0], B: [0, 0, 0, 1, 0],
  "[": [0, 0, 0, 0, -1], "]": [0, 0, 0, 0, 1],
};
const corrections = new Map(); // of images, by number: { ellipse, saved }
let draft = null; // the ellipse being corrected; its minor axis may be the longer one
let drag = null; // { name } of the handle, { offset } of its middle, { pointer } of the finger

/* The model's ellipse; null where it found no head. */
function measuredEllipse({ row }) {
  if (!row.semi_major_px) return null;
  return Object.fromEntries(ellipses.fields.map(([field, column]) => [field, Number(row[column])]));
}

function startingEllipse() {
  const [width, height] = pictureSize(), semiMajor = 0.3 * Math.min(width, height);
  const center = { centerX: (width - 1) / 2, centerY: (height - 1) / 2 };
  return { ...center, semiMajor, semiMinor: 0.8 * semiMajor, angle: 0 };
}

/* The same ellipse with its longer axis first, and that axis between 0 and pi. */
const ordered = (ellipse) => ellipses.scaled(ellipse, 1, 1);

function canCorrect({ status, overlay }) {
  return isHead && status !== "failed" && Boolean(overlay);
}

/* End correcting, and show what of it can be done with the image that is open. */
function leaveCorrecting() {
  if (drag) changeCorrection(currentImage); // a key ended it while a finger was down
  draft = drag = null;
  pen.toggleAttribute("hidden", true);
  for (const id of ["correct", "reset"]) byId(id).hidden = !canCorrect(currentImage);
  byId("correct").setAttribute("aria-pressed", "false");
  showView();
  showCircumference();
}

function toggleCorrecting() {
  if (!canCorrect(currentImage)) return;
  if (draft) return void leaveCorrecting();
  const kept = corrections.get(currentImage.number)?.ellipse;
  draft = { ...(kept ?? measuredEllipse(currentImage) ?? startingEllipse()) };
  byId("correct").setAttribute("aria-pressed", "true");
  pen.toggleAttribute("hidden", false);
  showView();
  showCircumference();
  pen.focus();
}

/* A length on the screen, in pixels of the picture. */
function inPicture(lengthPx) {
  return lengthPx * pen.viewBox.baseVal.width / stage.clientWidth;
}

/* Where the handles are: the centre, and beyond both ends of both axes. */
function handlePlaces({ semiMajor, semiMinor, ...ellipse }) {
  const gap = inPicture(GAP_PX);
  const outside = { ...ellipse, semiMajor: semiMajor + gap, semiMinor: semiMinor + gap };
  const [major, minor, major2, minor2] = ellipses.points(outside, 4);
  return { center: [ellipse.centerX, ellipse.centerY], major, major2, minor, minor2 };
}

function drawEllipse() {
  const points = ellipses.points(draft, 180).map((point) => point.join(",")).join(" ");
  const handles = Object.entries(handlePlaces(draft)).map(([name, [cx, cy]]) =>
    draw("circle", { class: "handle", cx, cy, r: inPicture(RING_PX), "data-handle": name }));
  pen.replaceChildren(draw("polygon", { points }), ...handles);
}

/* Keep the draft as the image's correction. */
function keep() {
  corrections.set(currentImage.number, { ellipse: ordered(draft), saved: false });
  drawEllipse();
  showFigures(currentImage);
  showCircumference();
}

function showCircumference() {
  const ellipse = draft ?? corrections.get(currentImage.number)?.ellipse;
  const live = byId("live"), review = reviewOf(currentImage);
  byId("accept").hidden = !canCorrect(currentImage) || !(review || measuredEllipse(currentImage));
  if (!ellipse) return void (live.textContent = "");
  const { hc_mm: mm, hc_px: px } = figuresOf(currentImage, ellipse);
  const text = mm === null ? `HC ${px.toFixed(1)} px` : `HC ${mm.toFixed(1)} mm, ${px.toFixed(1)} px`;
  live.textContent = text + (review && ` (${review})`);
}

/* Move a handle to a point of the picture. */
function dragTo(name, [x, y]) {
  if (name === "center") return void Object.assign(draft, { centerX: x, centerY: y });
  const sign = name.endsWith("2") ? -1 : 1;
  const dx = sign * (x - draft.centerX), dy = sign * (y - draft.centerY);
  const length = Math.max(LEAST_PX, Math.hypot(dx, dy) - inPicture(GAP_PX));
  if (name.startsWith("major")) {
    Object.assign(draft, { semiMajor: length, angle: Math.atan2(dy, dx) });
  } else {
    Object.assign(draft, { semiMinor: length, angle: Math.atan2(-dx, dy) });
  }
}

function pointOf(event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(pen.getScreenCTM().inverse());
  return [point.x, point.y];
}

pen.addEventListener("pointerdown", (event) => {
  const name = event.target.dataset.handle;
  if (!name || drag || fingers.size) return;
  const [x, y] = pointOf(event), [placeX, placeY] = handlePlaces(draft)[name];
  drag = { name, offset: [placeX - x, placeY - y], pointer: event.pointerId };
  pen.setPointerCapture(event.pointerId);
  event.preventDefault();
  pen.focus();
});

pen.addEventListener("pointermove", (event) => {
  if (drag?.pointer !== event.pointerId) return;
  const [x, y] = pointOf(event), [offsetX, offsetY] = drag.offset;
  dragTo(drag.name, [x + offsetX, y + offsetY]);
  keep();
});

for (const end of ["pointerup", "pointercancel"]) {
  pen.addEventListener(end, (event) => {
    if (drag?.pointer !== event.pointerId) return;
    changeCorrection(currentImage);
    drag = null;
  });
}

/* Act on a key, and return whether it is one that corrects. */
function correctByKey(event) {
  if (!(event.key in KEYS)) return false;
  const [x, y, along, across, degrees] = KEYS[event.key], step = event.shiftKey ? 10 : 1;
  draft.centerX += step * x;
  draft.centerY += step * y;
  draft.semiMajor = Math.max(LEAST_PX, draft.semiMajor * 1.01 ** along);
  draft.semiMinor = Math.max(LEAST_PX, draft.semiMinor * 1.01 ** across);
  draft.angle += degrees * Math.PI / 180;
  event.preventDefault();
  keep();
  changeCorrection(currentImage);
  return true;
}

/* Keep the head as it is seen, the model's where nobody corrected it, and go on. */
function accept() {
  if (byId("accept").hidden) return;
  const { number } = currentImage;
  if (!corrections.has(number)) {
    corrections.set(number, { ellipse: measuredEllipse(currentImage), saved: false });
  }
  leaveCorrecting();
  changeCorrection(currentImage);
  go(1);
}

function resetCorrection() {
  corrections.delete(currentImage.number);
  leaveCorrecting();
  changeCorrection(currentImage);
}

onClick({ correct: toggleCorrecting, accept, reset: resetCorrection });
