"use strict";

/* The images of the run, their filters and their order. */
const run = JSON.parse(document.getElementById("data").textContent);

/* Rows of the table as objects, with their texts for people by column. */
const images = run.images.map(({ cells, texts, overlay, size, thumbnail }, number) => {
  const row = Object.fromEntries(run.titles.map((title, i) => [title, cells[i]]));
  return {
    number, row, overlay, size, thumbnail,
    texts: Object.fromEntries(run.columns.map(({ name }, i) => [name, texts[i]])),
    name: row.frame ? `${row.file}, frame ${row.frame}` : row.file,
    status: row.status,
    flags: row.flags ? row.flags.split(";") : [],
    confidence: Number(row.confidence || 0),
  };
});
run.images = null;

/* A figure of an image as the model measured it; null where it has none. */
function figure(image, column) {
  const cell = image.row[column];
  return cell ? Number(cell) : null;
}

/* The column of a measure that is shown: millimetres where some pixels have a size. */
function shownColumn(inMm, inPx) {
  return images.some((image) => image.row[inMm]) ? inMm : inPx;
}

const isHead = run.task === "head";
const measures = isHead
  ? [{ title: "HC", column: shownColumn("hc_mm", "hc_px") }]
  : run.structures.map(({ name, colour }) => ({
      title: name, colour, column: shownColumn(`${name}_area_mm2`, `${name}_area_px`),
    }));
for (const measure of measures) {
  measure.unit = measure.column.endsWith("_px") ? "px" : isHead ? "mm" : "mm²";
}

/* Error of the model against an image's label: mm of HC, or 1 - the lowest Dice of a class. */
function errorOf(image) {
  if (isHead) return figure(image, "hc_error_mm");
  const dices = run.structures.map(({ name }) => figure(image, `${name}_dice`));
  const seen = dices.filter((dice) => dice !== null);
  return seen.length ? 1 - Math.min(...seen) : null;
}
const hasErrors = images.some((image) => errorOf(image) !== null);

const WORST_FIRST = ["failed", "doubtful", "empty", "ok"];

function certainty(image) {
  return WORST_FIRST.indexOf(image.status) + image.confidence / 2;
}

/* Order by a number, the smallest first; images without it come last. */
function rising(value) {
  return (one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === null || b === null) return (a === null) - (b === null) || one.number - other.number;
    return a - b || one.number - other.number;
  };
}

function falling(value) {
  return rising((image) => (value(image) === null ? null : -value(image)));
}

const orders = new Map([["most doubtful first", rising(certainty)]]);
if (hasErrors) orders.set("error, largest first", falling((i) => absolute(errorOf(i))));
for (const { title, column } of measures) {
  orders.set(`${title}, smallest first`, rising((image) => currentFigure(image, column)));
  orders.set(`${title}, largest first`, falling((image) => currentFigure(image, column)));
}
orders.set("confidence, lowest first", rising((image) => image.confidence));
const byName = new Intl.Collator("en", { numeric: true }); // many times faster than localeCompare
orders.set("name", (one, other) => byName.compare(one.name, other.name) || one.number - other.number);

function absolute(value) {
  return value === null ? null : Math.abs(value);
}

/* The filters; `range` is { column, low, high } of a bar that was chosen. */
const filters = { order: orders.keys().next().value, status: "", flag: "", text: "", range: null };

function passesFilters(image) {
  const { status, flag, text, range } = filters;
  if (status && image.status !== status) return false;
  if (flag && !image.flags.includes(flag)) return false;
  if (text && !image.name.toLowerCase().includes(text)) return false;
  if (!range) return true;
  const value = figure(image, range.column);
  return value !== null && value >= range.low && value < range.high;
}

/* The images that pass the filters, in order. */
let shownImages = [];

function applyFilters() {
  shownImages = images.filter(passesFilters).sort(orders.get(filters.order));
}
