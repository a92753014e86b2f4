"use strict";

/* One image at full size, with its figures; arrow keys go on in the order of the page. */
const viewer = byId("viewer"), stage = byId("stage"), picture = byId("picture");
const REFERENCES = [
  ["hc_reference_mm", "label's HC (mm)"], ["hc_error_mm", "error (mm)"], ["dice", "Dice"],
  ...run.structures.map((name) => [`${name}_dice`, `Dice of ${name}`]),
];
let currentImage = null; // the image that is open

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

onClick({ previous: () => go(-1), next: () => go(1), close: () => viewer.close() });

document.addEventListener("click", ({ target }) => {
  const button = target.closest("button[data-number]");
  if (button) openViewer(images[button.dataset.number]);
});
