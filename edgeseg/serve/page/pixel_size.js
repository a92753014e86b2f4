/* Millimetres per pixel, as the user enters them or a ruler in the image gives them. The browser keeps
   them from visit to visit, with the width and height of the images that they are for. */

const LEAST_MM = 0.001, MOST_MM = 10, STORED = "edgeseg pixel size and origin";
const [field, note, question, remove] =
  ["size-x", "size-note", "confirm", "remove-size"].map(byId);
let sides = []; // of images that the size was entered or confirmed for, such as "800 × 540"
let ruler = ""; // the name of the image whose ruler gave the size; empty if it was entered

/* The pixel size in the field, or null where it is empty; throws an Error with a message if it holds
   anything else. */
export function readPixelSize() {
  const text = field.value.trim();
  if (!text) return null;
  const [xMm, yMm = xMm, more] = text.split(/\s*[x×]\s*/i).map(readNumber);
  if (more !== undefined || ![xMm, yMm].every((mm) => mm >= LEAST_MM && mm <= MOST_MM)) {
    throw new Error(`the pixel size is ${text}; expected mm from ${LEAST_MM} to ${MOST_MM}, such as ` +
      "0.12, or across and down, such as 0.12x0.11");
  }
  return ruler ? { xMm, yMm, source: "ruler", origin: `ruler in ${ruler}` }
    : { xMm, yMm, source: "option", origin: "entered" };
}

/* A number above zero with a point or a comma; NaN for any other text. */
export function readNumber(text) {
  return /^[+]?(\d+[.,]?\d*|[.,]\d+)$/.test(text) ? Number(text.replace(",", ".")) : NaN;
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

/* Take a pixel size, by default that just entered in the field: for an image, or null for the next
   one. `from` names the image whose ruler gave it. */
export function enterPixelSize(image, text = field.value, from = "") {
  field.value = text;
  ruler = from;
  sides = showPixelSize() && image ? [sidesText(image)] : [];
  storePixelSize();
}

const sidesText = ({ width, height }) => `${width} × ${height}`;

/* A pixel size as people read it, and where it comes from. */
export function sizeText(size) {
  if (!size) return "unknown: HC is in pixels";
  const [x, y] = [size.xMm, size.yMm].map((mm) => +mm.toPrecision(4));
  return `${x === y ? x : `${x} × ${y}`} mm (${size.origin})`;
}

/* Say below the field what its pixel size means, or what is wrong with it; return it or null. For
   an image that was measured without it, ask whether to use it. */
export function showPixelSize(image = null) {
  let size = null, text = "Without it your images are measured in pixels, and there is no age.";
  note.className = "";
  try {
    size = readPixelSize();
    if (size) text = "Your images are measured in millimetres";
    if (size) text += ruler ? `, by the ruler in ${ruler}: set it again where depth or zoom differ.` : ".";
  } catch (error) {
    text = error.message;
    note.className = "wrong";
  }
  remove.hidden = !field.value;
  question.hidden = !size || !image;
  if (!question.hidden) {
    const own = sidesText(image), others = sides.includes(own) ? [] : sides;
    const known = others.length ? `, of images of ${others.join(" and ")} pixels,` : "";
    text = `Use the pixel size ${sizeText(size)}${known} for this image of ${own} pixels?`;
  }
  note.textContent = visible(text);
  return size;
}

const storePixelSize = () => store(STORED, { text: field.value, sides, ruler });

const kept = recall(STORED);
if (kept) [field.value, sides, ruler] = [kept.text, kept.sides, kept.ruler];
