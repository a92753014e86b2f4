"use strict";

/* Zoom and pan of the picture by wheel, fingers and keys; the pen goes along. Places and sizes are
   [x, y], in pixels of the screen on the stage. */
const LEAST_ZOOM = 0.8, MOST_ZOOM = 16; // of what shows all of it; less leaves room for handles
const EDGE_PX = 60;
const fingers = new Map(); // places, by pointer
let view = null; // { scale, place } of the picture and its corner; null: all of it is shown

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
onClick({ in: zoomActs.in, out: zoomActs.out, fit });
