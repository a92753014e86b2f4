"use strict";

/* The table of corrections: kept by the browser, and saved as corrected.csv. */

/* Columns of an ellipse; the model's own are as the run has them. */
const OWN = ["hc_mm", "hc_px", ...FIELDS.map(([, column]) => column)];
const SIZES = ["pixel_size_x_mm", "pixel_size_y_mm"];
let others = []; // entries of images that were here once, and may be again

/* Whether an ellipse is the model's own, to the decimals of tables. */
function isAsMeasured({ row }, ellipse) {
  return FIELDS.every(([field, column, decimals]) => row[column] === ellipse[field].toFixed(decimals));
}

function correctedCells(image, ellipse) {
  const mm = circumferenceMm(image, ellipse);
  const own = [
    mm === null ? "" : mm.toFixed(3), ellipses.circumference(ellipse).toFixed(3),
    ...FIELDS.map(([field, , decimals]) => ellipse[field].toFixed(decimals)),
  ];
  const model = OWN.map((column) => image.row[column] ?? "");
  return [
    cellText(image.row.file), image.row.frame, ...(isAsMeasured(image, ellipse) ? model : own),
    ...SIZES.map((column) => image.row[column]), ...model,
  ];
}

function correctedTable() {
  const titles = ["file", "frame", ...OWN, ...SIZES, ...OWN.map((column) => `model_${column}`)];
  const lines = [...corrections].sort(([one], [other]) => one - other)
    .map(([number, { ellipse }]) => correctedCells(images[number], ellipse));
  return csvText([titles, ...lines]);
}

function saveCorrections() {
  saveFile(new Blob([correctedTable()], { type: "text/csv" }), "corrected.csv");
  for (const correction of corrections.values()) correction.saved = true;
  storeCorrections();
}

/* What tells an image's measurement from another of the same name. */
function identity({ row }) {
  return JSON.stringify([row.file, row.frame, ...OWN.map((column) => row[column])]);
}

function sayCorrections() {
  document.getElementById("corrections").hidden = !corrections.size;
  const unsaved = [...corrections.values()].filter(({ saved }) => !saved).length;
  const rest = unsaved ? `, ${unsaved} not saved yet` : ", saved";
  document.getElementById("corrected").textContent = `${corrections.size} looked at${rest}`;
}

function storeCorrections() {
  sayCorrections();
  const entries = [...corrections].map(([number, kept]) => [identity(images[number]), kept]);
  try {
    localStorage.setItem(STORED, JSON.stringify([...entries, ...others]));
  } catch {
    // a browser that keeps nothing for files: leaving warns, and the table can be saved
  }
}

function recallCorrections() {
  let known;
  try {
    known = new Map(JSON.parse(localStorage.getItem(STORED) ?? "[]"));
  } catch {
    return; // nothing is kept for files here, or it is not ours
  }
  for (const image of known.size ? images : []) {
    const name = identity(image);
    if (!known.has(name)) continue;
    corrections.set(image.number, known.get(name));
    known.delete(name);
  }
  others = [...known];
  sayCorrections();
}

addEventListener("beforeunload", (event) => {
  if ([...corrections.values()].some(({ saved }) => !saved)) event.preventDefault();
});

document.getElementById("save").addEventListener("click", saveCorrections);
