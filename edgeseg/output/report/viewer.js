"use strict";

/* One image at full size, with its figures; arrow keys go on in the order of the page. */
const viewer = byId("viewer"), stage = byId("stage"), picture = byId("picture");
const REFERENCES = [
  ["hc_reference_mm", "label's HC (mm)"], ["hc_error_mm", "error (mm)"], ["dice", "Dice"],
  ...run.structures.map((name) => [`${name}_dice`, `Dice of ${name}`]),
];
let currentImage = null; // the image that is open
const LEAST_ZOOM = 0.8, MOST_ZOOM = 16; // of what shows all of it; less leaves room for handles
const EDGE_PX = 60;
const fingers = new Map(); // places, by pointer
let view = null; // { scale, place } of the picture and its corner; null: all of it is shown

function openViewer(image) {
  currentImage = image;
  view = null;
  byId("name").textContent = visible(image.name);
  showPicture(image);
  showFigures(image);
  if (!viewer.open) viewer.showModal();
  leaveCorrecting();
}

function showPicture(image) {
  const note = byId("note");
  note.textContent = image.overlay ? "" : "There is no picture of this image.";
  picture.alt = image.overlay ? `Overlay of ${visible(image.name)}` : "";
  picture.onerror = () => {
    picture.onerror = null;
    note.textContent = "The picture at full size is not beside this page, in overlays/, or cannot be read.";
    if (image.thumbnail) picture.src = thumbnailOf(image);
  };
  if (image.overlay) picture.src = image.overlay;
  else picture.removeAttribute("src");
}

function showFigures(image) {
  const { row } = image;
  byId("verdict").replaceChildren(badge(image));
  byId("doubts").replaceChildren(...doubtsOf(image).map((text) => make("li", {}, text)));
  const sides = [row.pixel_size_x_mm, row.pixel_size_y_mm].map((mm) => +Number(mm).toPrecision(4));
  const entries = [
    ...run.columns.map(({ title, name }) => [title, textIn(image, name)]),
    ...REFERENCES.map(([column, title]) => [title, row[column]]),
    ["confidence", row.confidence],
    ["pixel size", row.pixel_size_x_mm
      ? `${[...new Set(sides)].join(" × ")} mm (${row.pixel_size_source})` : "unknown"],
  ];
  const lines = entries.filter(([, text]) => text)
    .flatMap(([title, text]) => [make("dt", {}, title), make("dd", {}, text)]);
  byId("figures").replaceChildren(...lines);
}

/* Open the image some places further on, which is then on the page too. */
function go(places) {
  const place = shownImages.indexOf(currentImage) + places;
  if (place < 0 || place >= shownImages.length) return;
  buildPlace(place);
  openViewer(shownImages[place]);
}

/* Also when the browser closes the viewer by itself, on a second Escape. */
viewer.addEventListener("close", () => {
  leaveCorrecting();
  if (isReviewed) {
    drawCharts();
    refresh();
  }
  isReviewed = false;
  const place = shownImages.indexOf(currentImage);
  if (place >= 0) buildPlace(place);
  const card = document.querySelector(`button[data-number="${currentImage.number}"]`);
  card?.focus();
  card?.scrollIntoView({ block: "nearest" });
});

/* Zoom and pan of the picture by wheel, fingers and keys; the pen goes along. Places and sizes are
   [x, y], in pixels of the screen on the stage. */
function pictureSize() {
  return currentImage.size ?? [picture.naturalWidth, picture.naturalHeight];
}

function stageSize() {
  return [stage.clientWidth, stage.clientHeight];
}

function fittedView() {
  const size = pictureSize(), room = stageSize();
  const scale = Math.min(room[0] / size[0], room[1] / size[1]);
  return { scale, place: room.map((length, axis) => (length - scale * size[axis]) / 2) };
}

/* Lay picture and pen where they are seen; the pen's coordinates are the picture's pixels. */
function showView() {
  const [width, height] = pictureSize(), { scale, place } = view ?? fittedView();
  if (!width || !scale) return; // it is being loaded, or the viewer is closed
  Object.assign(picture, { width, height });
  picture.style.transform = `translate(${place[0]}px, ${place[1]}px) scale(${scale})`;
  const corner = place.map((length) => -length / scale - 0.5); // (0, 0) is a pixel's centre
  pen.setAttribute("viewBox", [...corner, ...stageSize().map((length) => length / scale)].join(" "));
  if (draft) drawEllipse();
}

/* Zoom by a factor about a place, and move; no wide gap is left beside the picture. */
function moveView(factor, at = stageSize().map((length) => length / 2), shift = [0, 0]) {
  const fitted = fittedView(), old = view ?? fitted, size = pictureSize();
  const least = LEAST_ZOOM * fitted.scale, most = MOST_ZOOM * fitted.scale;
  const scale = Math.min(Math.max(old.scale * factor, least), most);
  const place = stageSize().map((room, axis) => {
    const spare = room - scale * size[axis];
    const moved = at[axis] + ((old.place[axis] - at[axis]) * scale) / old.scale + shift[axis];
    return spare > 0 ? spare / 2 : Math.min(Math.max(moved, spare - EDGE_PX), EDGE_PX);
  });
  view = { scale, place };
  showView();
}

function fit() {
  view = null;
  showView();
}

const zoomActs = {
  in: () => moveView(1.25), out: () => moveView(1 / 1.25), fit,
  left: () => moveView(1, [0, 0], [EDGE_PX, 0]), right: () => moveView(1, [0, 0], [-EDGE_PX, 0]),
  up: () => moveView(1, [0, 0], [0, EDGE_PX]), down: () => moveView(1, [0, 0], [0, -EDGE_PX]),
};

function placeOf({ clientX, clientY }) {
  const { left, top } = stage.getBoundingClientRect();
  return [clientX - left, clientY - top];
}

/* The middle of the fingers, and how far they are apart. */
function grip() {
  const [[x, y], [x2, y2] = [x, y]] = fingers.values();
  return { middle: [(x + x2) / 2, (y + y2) / 2], apart: Math.hypot(x2 - x, y2 - y) };
}

stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  const speed = event.ctrlKey ? 0.01 : 0.002; // two fingers on a touchpad come as this key
  moveView(Math.exp(-speed * event.deltaY), placeOf(event));
}, { passive: false });

stage.addEventListener("pointerdown", (event) => {
  if (drag) return; // a handle is held
  fingers.set(event.pointerId, placeOf(event));
  stage.setPointerCapture(event.pointerId);
});

stage.addEventListener("pointermove", (event) => {
  if (!fingers.has(event.pointerId)) return;
  const before = grip();
  fingers.set(event.pointerId, placeOf(event));
  const { middle, apart } = grip();
  moveView(apart / before.apart || 1, before.middle, middle.map((x, i) => x - before.middle[i]));
});

stage.addEventListener("lostpointercapture", ({ pointerId }) => fingers.delete(pointerId));
picture.addEventListener("load", showView);
new ResizeObserver(() => currentImage && showView()).observe(stage);

viewer.addEventListener("cancel", (event) => {
  event.preventDefault();
  if (draft) leaveCorrecting();
  else viewer.close();
});

viewer.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (draft && correctByKey(event)) return;
  const act = {
    ArrowLeft: () => go(-1), ArrowRight: () => go(1), c: toggleCorrecting, y: accept, 0: fit,
    z: zoomActs.in, "+": zoomActs.in, Z: zoomActs.out, "-": zoomActs.out,
    i: zoomActs.up, j: zoomActs.left, k: zoomActs.down, l: zoomActs.right,
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

onClick({
  previous: () => go(-1), next: () => go(1), close: () => viewer.close(),
  in: zoomActs.in, out: zoomActs.out, fit,
});

document.addEventListener("click", ({ target }) => {
  const button = target.closest("button[data-number]");
  if (button) openViewer(images[button.dataset.number]);
});
