/* Set the scale: two marks on the ticks of a ruler in the image, and their distance in mm.

   A tap sets a mark. A drag moves it as far as in the magnifier, so that a finger can place it. */
import { readNumber } from "./pixel_size.js";

const MAGNIFICATION = 5, GRAB_PX = 20; // of the screen
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const [picture, loupe, panel, distance, step, use] =
  ["picture", "loupe", "scale", "distance", "scale-step", "scale-use"].map(byId);
const marks = [...document.querySelectorAll(".mark")].map((button) => ({ button }));
let active = marks[0], drag = null; // the mark that moves, and the last event of the finger
let onDone = null;

export const isSettingScale = () => document.body.classList.contains("marking");

/* Let the user mark two ticks on the picture, an image without drawings. `done` is called with the
   millimetres per pixel, or null if the user cancels, and calls stopScale. */
export function startScale(done) {
  const { width, height } = picture;
  for (const mark of marks) Object.assign(mark, { x: width / 2, y: height / 2, isSet: false });
  onDone = done;
  document.body.classList.add("marking");
  marks[0].button.focus({ preventScroll: true });
  show();
}

export function stopScale() {
  document.body.classList.remove("marking");
}

const shownScale = () => picture.clientWidth / picture.width;

const gap = ([one, other]) => Math.hypot(one.x - other.x, one.y - other.y);

function show() {
  if (!isSettingScale()) return;
  for (const { button, x, y, isSet } of marks) {
    button.style.left = `${picture.offsetLeft + (x + 0.5) * shownScale()}px`;
    button.style.top = `${picture.offsetTop + (y + 0.5) * shownScale()}px`;
    button.classList.toggle("set", isSet);
  }
  const set = marks.filter(({ isSet }) => isSet).length, mm = readNumber(distance.value.trim());
  use.disabled = set < 2 || !(mm > 0);
  step.textContent = [
    "Tap a tick of the ruler. Hold and drag to place it exactly.",
    "Tap a second tick, as far away as you can. Hold and drag to place it exactly.",
    mm > 0
      ? `${gap(marks).toFixed(1)} pixels are ${mm} mm. ` +
        `A mark 1 pixel off changes HC by ${(100 / gap(marks)).toFixed(1)} %.`
      : "Enter the distance of the two ticks in mm, such as 10.",
  ][set];
  loupe.hidden = !active.isSet;
  if (active.isSet) magnify();
}

/* Show what lies around the active mark, on the other side of the picture. */
function magnify() {
  loupe.classList.toggle("right", active.x < picture.width / 2);
  const side = loupe.width = loupe.height = loupe.clientWidth * devicePixelRatio;
  const zoom = shownScale() * MAGNIFICATION * devicePixelRatio, middle = side / 2;
  const [left, top] = [active.x, active.y].map((place) => middle - (place + 0.5) * zoom);
  const context = loupe.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(picture, left, top, picture.width * zoom, picture.height * zoom);
  context.fillStyle = getComputedStyle(active.button).color;
  context.fillRect(0, middle, side, 1);
  context.fillRect(middle, 0, 1, side);
}

/* Move the active mark by pixels of the image, within it. */
function move(x, y) {
  active.x = Math.min(Math.max(active.x + x, 0), picture.width - 1);
  active.y = Math.min(Math.max(active.y + y, 0), picture.height - 1);
  active.isSet = true;
  show();
}

/* Take the mark under the finger, else put the next one there; once both are set, the nearer one. */
function grab({ offsetX, offsetY }) {
  const place = { x: offsetX / shownScale() - 0.5, y: offsetY / shownScale() - 0.5 };
  const [near] = marks.filter(({ isSet }) => isSet)
    .sort((one, other) => gap([one, place]) - gap([other, place]));
  const isUnder = near && gap([near, place]) * shownScale() < GRAB_PX;
  active = isUnder ? near : marks.find(({ isSet }) => !isSet) ?? near;
  if (!isUnder) Object.assign(active, place);
  move(0, 0);
}

picture.addEventListener("pointerdown", (event) => {
  if (!isSettingScale() || drag || event.button) return;
  event.preventDefault();
  picture.setPointerCapture(event.pointerId);
  drag = event;
  grab(event);
});
picture.addEventListener("pointermove", (event) => {
  if (drag?.pointerId !== event.pointerId) return;
  const scale = shownScale() * MAGNIFICATION;
  move((event.clientX - drag.clientX) / scale, (event.clientY - drag.clientY) / scale);
  drag = event;
});
picture.addEventListener("lostpointercapture", () => { drag = null; });
addEventListener("keydown", (event) => {
  if (!isSettingScale()) return;
  if (event.key === "Escape") return onDone(null);
  const mark = marks.find(({ button }) => button === event.target);
  if (!mark || !(event.key in KEYS)) return;
  event.preventDefault();
  active = mark;
  move(...KEYS[event.key].map((pixels) => pixels * (event.shiftKey ? 10 : 1)));
});
panel.addEventListener("submit", (event) => {
  event.preventDefault();
  onDone(readNumber(distance.value.trim()) / gap(marks));
});
distance.addEventListener("input", show);
onClick({ "scale-cancel": () => onDone(null) });
addEventListener("resize", show);
