/* Millimetres per pixel, as the user enters them. The browser keeps them from visit to visit, with
   the width and height of the images that they were entered for. */

const LEAST_MM = 0.001, MOST_MM = 10, STORED = "edgeseg pixel size of images";
const [across, down, note] = ["size-x", "size-y", "size-note"].map((id) =>
  document.getElementById(id));
let sides = []; // of images that the size was entered or confirmed for, such as "800 × 540"

/* The pixel size in the fields, or null where they are empty; throws an Error with a message if
   they hold anything else. */
export function readPixelSize() {
  const [x, y] = [across, down].map(({ value }) => value.trim());
  if (!x && !y) return null;
  if (!x) throw new Error("enter the pixel size across; down is only needed where it differs");
  const [xMm, yMm] = [x, y || x].map((text) => {
    const mm = /^[+]?(\d+[.,]?\d*|[.,]\d+)$/.test(text) ? Number(text.replace(",", ".")) : NaN;
    if (mm >= LEAST_MM && mm <= MOST_MM) return mm;
    throw new Error(
      `the pixel size is ${text}; expected mm from ${LEAST_MM} to ${MOST_MM}, such as 0.12`);
  });
  return { xMm, yMm, source: "option" };
}

/* The pixel size to measure an image with: null if there is none, or if it was entered for images
   of another width or height. The first image that is measured with it decides which. */
export function pixelSizeFor(image) {
  const size = showPixelSize();
  if (size && !sides.length) confirmPixelSize(image);
  return size && sides.includes(sidesText(image)) ? size : null;
}

/* Take the pixel size for images of this width and height too. */
export function confirmPixelSize(image) {
  sides.push(sidesText(image));
  storePixelSize();
}

/* Take a pixel size that was just entered: for an image, or null for the next one. */
export function enterPixelSize(image) {
  sides = showPixelSize() && image ? [sidesText(image)] : [];
  storePixelSize();
}

/* What to ask before an image is measured with the pixel size in the fields; empty without one. */
export function confirmationText(image) {
  const size = showPixelSize();
  if (!size) return "";
  const entered = sides.length ? `, entered for images of ${sides.join(" and ")} pixels,` : "";
  return `Use the pixel size ${sizeText(size)}${entered} for this image of ` +
    `${sidesText(image)} pixels?`;
}

const sidesText = ({ width, height }) => `${width} × ${height}`;

/* A pixel size as people read it. */
export function sizeText({ xMm, yMm }) {
  const [x, y] = [xMm, yMm].map((mm) => +mm.toPrecision(4));
  return x === y ? `${x} mm` : `${x} × ${y} mm`;
}

/* Say below the fields what their pixel size means, or what is wrong with it; return it or null. */
export function showPixelSize() {
  let size = null, text = "Without a pixel size HC is in pixels, and there is no age.";
  note.className = "";
  try {
    size = readPixelSize();
    if (size) text = "HC is in millimetres.";
  } catch (error) {
    text = error.message;
    note.className = "wrong";
  }
  note.textContent = text;
  return size;
}

function storePixelSize() {
  try {
    const kept = { texts: [across.value, down.value], sides };
    localStorage.setItem(STORED, JSON.stringify(kept));
  } catch {
    // a browser that keeps nothing
  }
}

try {
  const kept = JSON.parse(localStorage.getItem(STORED));
  [[across.value, down.value], sides] = [kept.texts.map(String), kept.sides.map(String)];
} catch {
  // nothing is kept, or it is not ours
}
