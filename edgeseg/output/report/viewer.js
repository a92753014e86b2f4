"use strict";

/* One image at full size, with its figures; arrow keys go on in the order of the page. */
const viewer = document.getElementById("viewer");
const stage = document.getElementById("stage");
const picture = document.getElementById("picture");
const REFERENCES = [
  ["hc_reference_mm", "label's HC (mm)"], ["hc_error_mm", "error (mm)"], ["dice", "Dice"],
  ...run.structures.map(({ name }) => [`${name}_dice`, `Dice of ${name}`]),
];
let currentImage = null; // the image that is open

function openViewer(image) {
  currentImage = image;
  document.getElementById("name").textContent = visible(image.name);
  showPicture(image);
  showFigures(image);
  leaveCorrecting();
  if (!viewer.open) viewer.showModal();
}

function showPicture(image) {
  const note = document.getElementById("note");
  note.textContent = image.overlay ? "" : "There is no picture of this image.";
  picture.alt = image.overlay ? `Overlay of ${visible(image.name)}` : "";
  picture.onerror = () => {
    picture.onerror = null;
    note.textContent = "The picture at full size is not beside this page, in overlays/, or cannot be read.";
    if (image.thumbnail) showEnlarged(image);
  };
  if (image.overlay) picture.src = image.overlay;
  else picture.removeAttribute("src");
  [picture.width, picture.height] = image.size ?? [0, 0];
  if (!image.size) picture.removeAttribute("width"), picture.removeAttribute("height");
}

/* Show the thumbnail at the size of the whole picture, as zoom and pen need it. */
async function showEnlarged(image) {
  const small = new Image(), canvas = make("canvas");
  small.src = `data:image/jpeg;base64,${image.thumbnail}`;
  await small.decode();
  if (currentImage !== image) return;
  [canvas.width, canvas.height] = image.size;
  canvas.getContext("2d").drawImage(small, 0, 0, ...image.size);
  picture.src = canvas.toDataURL("image/jpeg");
}

function showFigures(image) {
  document.getElementById("verdict").replaceChildren(badge(image));
  const doubts = doubtsOf(image).map((text) => make("li", text));
  document.getElementById("doubts").replaceChildren(...doubts);
  const entries = [];
  for (const { title, name } of run.columns) entries.push([title, textIn(image, name)]);
  for (const [column, title] of REFERENCES) entries.push([title, image.row[column]]);
  entries.push(["confidence", image.row.confidence], ["pixel size", image.row.pixel_size_x_mm
    ? `${sidesOf(image).join(" × ")} mm (${image.row.pixel_size_source})` : "unknown"]);
  const lines = entries.filter(([, text]) => text)
    .flatMap(([title, text]) => [make("dt", title), make("dd", text)]);
  document.getElementById("figures").replaceChildren(...lines);
}

function sidesOf({ row }) {
  const sides = [row.pixel_size_x_mm, row.pixel_size_y_mm].map((mm) => +Number(mm).toPrecision(4));
  return sides[0] === sides[1] ? [sides[0]] : sides;
}

/* Open the image some places further on. */
function go(places) {
  const place = shownImages.indexOf(currentImage) + places;
  if (place < 0 || place >= shownImages.length) return;
  buildTo(place);
  openViewer(shownImages[place]);
}

function toggleZoom() {
  const isFull = stage.classList.toggle("full");
  document.getElementById("zoom").setAttribute("aria-pressed", String(isFull));
  placePen();
}

function closeViewer() {
  viewer.close();
}

/* Also when the browser closes the viewer by itself, on a second Escape. */
viewer.addEventListener("close", () => {
  leaveCorrecting();
  const card = document.querySelector(`button[data-number="${currentImage.number}"]`);
  card?.focus();
  card?.scrollIntoView({ block: "nearest" });
});

viewer.addEventListener("cancel", (event) => {
  event.preventDefault();
  if (isCorrecting()) leaveCorrecting();
  else closeViewer();
});

viewer.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (isCorrecting() && correctByKey(event)) return;
  const act = {
    ArrowLeft: () => go(-1), ArrowRight: () => go(1), z: toggleZoom, c: toggleCorrecting,
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

for (const [id, act] of [
  ["previous", () => go(-1)], ["next", () => go(1)], ["zoom", toggleZoom], ["close", closeViewer],
]) document.getElementById(id).addEventListener("click", act);

document.addEventListener("click", ({ target }) => {
  const button = target.closest("button[data-number]");
  if (button) openViewer(images[button.dataset.number]);
});
