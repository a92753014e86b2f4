"use strict";

/* Correct a head by hand: an ellipse over the picture, moved by mouse, finger or keys. */
const pen = document.getElementById("pen");
const FIELDS = [
  ["centerX", "center_x_px"], ["centerY", "center_y_px"], ["semiMajor", "semi_major_px"],
  ["semiMinor", "semi_minor_px"], ["angle", "angle_rad"],
];
const STORED = `edgeseg corrected ${location.pathname}`;
const LEAST_PX = 2;
const HANDLE_PX = matchMedia("(pointer: coarse)").matches ? 18 : 9; // of the screen; fingers are wide
const corrections = new Map(); // of images, by number: { ellipse, saved }
let draft = null; // the ellipse being corrected; its minor axis may be the longer one
let drag = null; // { name } of the handle, { offset } of its middle, { pointer } of the finger

/* The model's ellipse; null where it found no head. */
function measuredEllipse({ row }) {
  if (!row.semi_major_px) return null;
  return Object.fromEntries(FIELDS.map(([field, column]) => [field, Number(row[column])]));
}

function startingEllipse(image) {
  const [width, height] = image.size ?? [picture.naturalWidth, picture.naturalHeight];
  const semiMajor = 0.3 * Math.min(width, height);
  return {
    centerX: (width - 1) / 2, centerY: (height - 1) / 2, semiMajor, semiMinor: 0.8 * semiMajor,
    angle: 0,
  };
}

/* The same ellipse with its longer axis first, and that axis between 0 and pi. */
function ordered(ellipse) {
  const { semiMajor, semiMinor } = ellipse;
  const turned = semiMinor > semiMajor;
  const angle = ellipse.angle + (turned ? Math.PI / 2 : 0);
  return {
    ...ellipse,
    semiMajor: Math.max(semiMajor, semiMinor),
    semiMinor: Math.min(semiMajor, semiMinor),
    angle: ((angle % Math.PI) + Math.PI) % Math.PI,
  };
}

function isCorrecting() {
  return draft !== null;
}

function canCorrect(image) {
  return isHead && image.status !== "failed" && Boolean(image.overlay);
}

function leaveCorrecting() {
  if (drag) changeCorrection(currentImage); // a key ended it while a finger was down
  draft = drag = null;
  pen.toggleAttribute("hidden", true);
  const possible = canCorrect(currentImage);
  for (const id of ["correct", "accept", "reset"]) document.getElementById(id).hidden = !possible;
  document.getElementById("accept").hidden ||= !currentImage.row.semi_major_px;
  document.getElementById("help").hidden = !possible;
  document.getElementById("correct").setAttribute("aria-pressed", "false");
  showCircumference();
}

function toggleCorrecting() {
  if (!canCorrect(currentImage)) return;
  if (isCorrecting()) return leaveCorrecting();
  const kept = corrections.get(currentImage.number)?.ellipse;
  draft = { ...(kept ?? measuredEllipse(currentImage) ?? startingEllipse(currentImage)) };
  document.getElementById("correct").setAttribute("aria-pressed", "true");
  pen.toggleAttribute("hidden", false);
  placePen();
  drawEllipse();
  showCircumference();
  pen.focus();
}

/* Lay the pen over the picture, with the picture's pixels as its coordinates. */
function placePen() {
  const [width, height] = currentImage.size ?? [picture.naturalWidth, picture.naturalHeight];
  const shown = picture.getBoundingClientRect();
  pen.setAttribute("viewBox", `-0.5 -0.5 ${width} ${height}`); // (0, 0) is a pixel's centre
  pen.setAttribute("width", shown.width);
  pen.setAttribute("height", shown.height);
  if (isCorrecting()) drawEllipse();
}

/* Where the handles are: the centre, and both ends of both axes. */
function handlePlaces({ centerX, centerY, semiMajor, semiMinor, angle }) {
  const cos = Math.cos(angle), sin = Math.sin(angle);
  const along = [semiMajor * cos, semiMajor * sin], across = [-semiMinor * sin, semiMinor * cos];
  const places = { center: [centerX, centerY] };
  for (const [name, [x, y], sign] of [
    ["major", along, 1], ["major2", along, -1], ["minor", across, 1], ["minor2", across, -1],
  ]) places[name] = [centerX + sign * x, centerY + sign * y];
  return places;
}

function drawEllipse() {
  const points = ellipses.points(draft, 180).map((point) => point.join(",")).join(" ");
  const pxPerUnit = pen.viewBox.baseVal.width / (pen.getBoundingClientRect().width || 1);
  const handles = Object.entries(handlePlaces(draft)).map(([name, [cx, cy]]) =>
    draw("circle", { class: "handle", cx, cy, r: HANDLE_PX * pxPerUnit, "data-handle": name }));
  pen.replaceChildren(draw("polygon", { class: "drawn", points }), ...handles);
  pen.setAttribute("aria-label", "Ellipse under correction; the keys are listed beside");
}

/* Keep the draft as the image's correction. */
function keep() {
  corrections.set(currentImage.number, { ellipse: ordered(draft), saved: false });
  drawEllipse();
  showCircumference();
}

function showCircumference() {
  const ellipse = draft ?? corrections.get(currentImage.number)?.ellipse;
  const live = document.getElementById("live"), review = reviewOf(currentImage);
  if (!ellipse) return void (live.textContent = "");
  const { hc_mm: mm, hc_px: px } = figuresOf(currentImage, ellipse);
  const text = mm === null ? `HC ${px.toFixed(1)} px` : `HC ${mm.toFixed(1)} mm, ${px.toFixed(1)} px`;
  live.textContent = text + (review && ` (${review})`);
}

/* Move a handle to a point of the picture. */
function dragTo(name, [x, y]) {
  if (name === "center") {
    [draft.centerX, draft.centerY] = [x, y];
    return;
  }
  const dx = x - draft.centerX, dy = y - draft.centerY;
  const length = Math.max(LEAST_PX, Math.hypot(dx, dy));
  const sign = name.endsWith("2") ? -1 : 1;
  if (name.startsWith("major")) {
    draft.semiMajor = length;
    draft.angle = Math.atan2(sign * dy, sign * dx);
  } else {
    draft.semiMinor = length;
    draft.angle = Math.atan2(-sign * dx, sign * dy);
  }
}

function pointOf(event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(pen.getScreenCTM().inverse());
  return [point.x, point.y];
}

pen.addEventListener("pointerdown", (event) => {
  const name = event.target.closest("[data-handle]")?.dataset.handle;
  if (!name || drag) return;
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
  const step = event.shiftKey ? 10 : 1;
  const change = {
    ArrowLeft: () => { draft.centerX -= step; },
    ArrowRight: () => { draft.centerX += step; },
    ArrowUp: () => { draft.centerY -= step; },
    ArrowDown: () => { draft.centerY += step; },
    "+": () => stretch(1.01, 1.01),
    "-": () => stretch(1 / 1.01, 1 / 1.01),
    a: () => stretch(1 / 1.01, 1), A: () => stretch(1.01, 1),
    b: () => stretch(1, 1 / 1.01), B: () => stretch(1, 1.01),
    "[": () => { draft.angle -= Math.PI / 180; },
    "]": () => { draft.angle += Math.PI / 180; },
  }[event.key];
  if (!change) return false;
  event.preventDefault();
  change();
  keep();
  changeCorrection(currentImage);
  return true;
}

function stretch(along, across) {
  draft.semiMajor = Math.max(LEAST_PX, draft.semiMajor * along);
  draft.semiMinor = Math.max(LEAST_PX, draft.semiMinor * across);
}

function acceptMeasured() {
  corrections.set(currentImage.number, { ellipse: measuredEllipse(currentImage), saved: false });
  leaveCorrecting();
  changeCorrection(currentImage);
}

function resetCorrection() {
  corrections.delete(currentImage.number);
  leaveCorrecting();
  changeCorrection(currentImage);
}

for (const [id, act] of [
  ["correct", toggleCorrecting], ["accept", acceptMeasured], ["reset", resetCorrection],
]) document.getElementById(id).addEventListener("click", act);

picture.addEventListener("load", () => { if (isCorrecting()) placePen(); });
addEventListener("resize", () => { if (isCorrecting()) placePen(); });
