/* Millimetres per pixel, as the user says them; kept by the browser from visit to visit. */

const LEAST_MM = 0.001, MOST_MM = 10, KEPT = "edgeseg pixel size";
const [across, down] = ["size-x", "size-y"].map((id) => document.getElementById(id));

/* The pixel size, or null where none is given; throws a sentence where it can be none. */
export function readPixelSize() {
  const [x, y] = [across, down].map(({ value }) => value.trim());
  if (!x && !y) return null;
  if (!x) throw new Error("the pixel size across is missing; give it first, down only if it is another");
  const xMm = checked(x), yMm = y ? checked(y) : xMm;
  return { xMm, yMm, source: "option" };
}

function checked(text) {
  const mm = /^[+]?(\d+[.,]?\d*|[.,]\d+)$/.test(text) ? Number(text.replace(",", ".")) : NaN;
  if (!(mm >= LEAST_MM && mm <= MOST_MM)) {
    throw new Error(`the pixel size is ${text}; expected mm from ${LEAST_MM} to ${MOST_MM}, such as 0.12`);
  }
  return mm;
}

/* Say what the pixel size means for the figures; put one in first if it is given. */
export function showPixelSize(mm = null) {
  if (mm !== null) [across.value, down.value] = [String(mm), ""];
  const note = document.getElementById("size-note");
  try {
    note.textContent = readPixelSize()
      ? "HC is in millimetres." : "Without it HC is in pixels, and there is no age.";
    note.className = "";
  } catch (error) {
    note.textContent = error.message;
    note.className = "wrong";
  }
}

export function keepPixelSize() {
  try {
    localStorage.setItem(KEPT, JSON.stringify([across.value, down.value]));
  } catch {
    // a browser that keeps nothing
  }
}

try {
  [across.value, down.value] = JSON.parse(localStorage.getItem(KEPT) ?? '["", ""]').map(String);
} catch {
  [across.value, down.value] = ["", ""];
}
