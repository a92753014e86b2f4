"use strict";

/* Corrections: their figures beside the model's, kept by the browser, saved as corrected.csv. */

/* Columns of corrected.csv that follow from an ellipse. */
const OWN = ["hc_mm", "hc_px", ...ellipses.fields.map(([, column]) => column)];
const SIZES = ["pixel_size_x_mm", "pixel_size_y_mm"];
let isReviewed = false; // whether something was since the viewer was opened
let others = []; // entries of images that are not in the report now, and may be again

/* Whether an ellipse is the model's own, to the decimals of tables. */
function isAsMeasured({ row }, ellipse) {
  return ellipses.fields.every(([field, column]) =>
    row[column] === ellipse[field].toFixed(run.decimals[column]));
}

/* The figures of an ellipse of an image, calibrated as the run was. */
function figuresOf({ row }, ellipse) {
  const [xMm, yMm] = SIZES.map((column) => Number(row[column]));
  const calibration = row.calibration_factor
    ? { factor: Number(row.calibration_factor), shiftMm: Number(row.calibration_shift_mm) } : null;
  const pixelSize = xMm ? { xMm, yMm } : null, weeks = figure({ row }, "ga_weeks_given");
  return headFigures.measure(ellipse, { pixelSize, calibration, weeks });
}

/* "corrected", "accepted", or empty where nobody has reviewed an image. */
function reviewOf(image) {
  const ellipse = corrections.get(image.number)?.ellipse;
  if (!ellipse) return "";
  return isAsMeasured(image, ellipse) ? "accepted" : "corrected";
}

/* The figures of a head that a person corrected; null for all other images. */
function correctedFigures(image) {
  if (reviewOf(image) !== "corrected") return null;
  return figuresOf(image, corrections.get(image.number).ellipse);
}

/* A figure of an image as it is now: corrected, or the model's; null where it has none. */
function currentFigure(image, column) {
  const corrected = correctedFigures(image);
  return corrected && column in corrected ? corrected[column] : figure(image, column);
}

/* A value of the model, or a corrected one with the model's beside it. */
function besideModel(image, name, model, format) {
  const corrected = correctedFigures(image);
  if (!corrected || !(name in corrected)) return model;
  const own = format(name, corrected);
  return own || model ? `${own || "–"} (model ${model || "–"})` : "";
}

/* The text of an image for people in a column. */
function textIn(image, name) {
  const model = image.texts[name] ?? image.row[name] ?? "";
  return besideModel(image, name, model, headFigures.text);
}

/* The cell of an image in the table of results. */
function cellIn(image, name) {
  return besideModel(image, name, image.row[name], decimalText);
}

function decimalText(name, figures) {
  return figures[name]?.toFixed(run.decimals[name]) ?? "";
}

/* Show and store a correction that was made or taken back. */
function changeCorrection(image) {
  const button = document.querySelector(`main button[data-number="${image.number}"]`);
  button?.closest("li, tr").replaceWith(asTable ? tableRow(image) : card(image));
  showFigures(image);
  storeCorrections();
  isReviewed = true;
}

function correctedCells(image) {
  const { row, number } = image, { ellipse } = corrections.get(number);
  const figures = figuresOf(image, ellipse);
  const model = OWN.map((column) => row[column] ?? "");
  const own = isAsMeasured(image, ellipse) ? model : OWN.map((name) => decimalText(name, figures));
  return [cellText(row.file), row.frame, ...own, ...SIZES.map((column) => row[column]), ...model];
}

function saveCorrections() {
  const titles = ["file", "frame", ...OWN, ...SIZES, ...OWN.map((column) => `model_${column}`)];
  const lines = images.filter(({ number }) => corrections.has(number)).map(correctedCells);
  saveFile(new Blob([csvText([titles, ...lines])], { type: "text/csv" }), "corrected.csv");
  for (const correction of corrections.values()) correction.saved = true;
  storeCorrections();
}

/* Distinguishes an image's measurement from another of the same name. */
function identity({ row }) {
  return JSON.stringify([row.file, row.frame, ...OWN.map((column) => row[column])]);
}

/* Take over the heads of a corrected.csv, and say how many. */
function loadCorrections(text) {
  if (countUnsaved()) return "save yours first: those of the table would replace them";
  const names = images.map(({ row }) => [cellText(row.file), row.frame]);
  const written = readCsv(csvText([["file", "frame"], ...names])); // as they stand in such a table
  const numbers = new Map(written.map((name, number) => [JSON.stringify(name), number]));
  const rows = readCsv(text);
  if (rows.some((row) => row.model_hc_px === undefined)) return "this is no corrected.csv";
  const heads = rows.map((row) => {
    const number = numbers.get(JSON.stringify({ file: row.file, frame: row.frame }));
    const image = images[number], head = measuredEllipse({ row });
    const isOfImage = image && canCorrect(image) && head && Object.values(head).every(isFinite) &&
      Math.min(head.semiMajor, head.semiMinor) >= LEAST_PX &&
      SIZES.every((column) => Number(row[column] || 0) === Number(image.row[column] || 0));
    return isOfImage && [number, head];
  }).filter(Boolean);
  for (const [number, head] of heads) corrections.set(number, { ellipse: ordered(head), saved: true });
  storeCorrections();
  drawCharts();
  refresh();
  const rest = rows.length - heads.length;
  const why = "rows are no heads of images here, or have another pixel size";
  return `${heads.length} loaded${rest ? `; ${rest} ${why}` : ""}`;
}

function countUnsaved() {
  return [...corrections.values()].filter(({ saved }) => !saved).length;
}

function showCounts() {
  const unsaved = countUnsaved(), count = corrections.size;
  const rest = unsaved ? `${unsaved < count ? `${unsaved} ` : ""}not saved yet` : "saved";
  byId("save").hidden = !count;
  byId("corrected").textContent = count ? `${count} reviewed, ${rest}` : "";
}

function storeCorrections() {
  showCounts();
  const entries = [...corrections].map(([number, kept]) => [identity(images[number]), kept]);
  store(STORED, [...entries, ...others]); // where none is kept, leaving warns
}

function recallCorrections() {
  const kept = recall(STORED), known = new Map(Array.isArray(kept) ? kept : []);
  for (const image of known.size ? images : []) {
    const name = identity(image);
    if (known.has(name)) corrections.set(image.number, known.get(name));
    known.delete(name);
  }
  others = [...known];
  showCounts();
}

addEventListener("beforeunload", (event) => {
  if (countUnsaved()) event.preventDefault();
});

onClick({ save: saveCorrections });
byId("corrections").hidden = !isHead;
byId("load").addEventListener("change", async ({ target }) => {
  byId("loaded").textContent = loadCorrections(await target.files[0].text());
  target.value = ""; // the same file may be chosen again
});
