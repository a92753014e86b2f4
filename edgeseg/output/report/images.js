"use strict";

/* What the page shows: every image of the run, and which of them in which order. */
const run = JSON.parse(document.getElementById("data").textContent);

/* Rows of the table as objects, with what people read of them. */
const images = run.images.map(({ cells, texts, overlay, size, thumbnail }, number) => {
  const row = Object.fromEntries(run.titles.map((title, i) => [title, cells[i]]));
  return {
    number, row, texts, overlay, size, thumbnail,
    name: row.frame ? `${row.file}, frame ${row.frame}` : row.file,
    status: row.status,
    flags: row.flags ? row.flags.split(";") : [],
    confidence: Number(row.confidence || 0),
  };
});
run.images = null;

/* A figure of an image as a number; null where it has none. */
function figure(image, column) {
  const cell = image.row[column];
  return cell ? Number(cell) : null;
}

/* The column of a measure that most images have: millimetres where pixels have a size. */
function usual(inMm, inPx) {
  return images.some((image) => image.row[inMm]) ? inMm : inPx;
}

const isHead = run.task === "head";
const measures = isHead
  ? [{ title: "HC", column: usual("hc_mm", "hc_px") }]
  : run.structures.map(({ name, colour }) => ({
      title: name, colour, column: usual(`${name}_area_mm2`, `${name}_area_px`),
    }));
for (const measure of measures) {
  measure.unit = measure.column.endsWith("_px") ? "px" : isHead ? "mm" : "mm²";
}

/* How far an image is off its label: mm of HC, or what the worst class's Dice lacks. */
function errorOf(image) {
  if (isHead) return figure(image, "hc_error_mm");
  const dices = run.structures.map(({ name }) => figure(image, `${name}_dice`));
  const seen = dices.filter((dice) => dice !== null);
  return seen.length ? 1 - Math.min(...seen) : null;
}
const hasErrors = images.some((image) => errorOf(image) !== null);

const WORST_FIRST = ["failed", "doubtful", "empty", "ok"];

function needOfALook(image) {
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

const orders = new Map([["what needs a look", rising(needOfALook)]]);
if (hasErrors) orders.set("error, largest first", falling((i) => absolute(errorOf(i))));
for (const { title, column } of measures) {
  orders.set(`${title}, smallest first`, rising((image) => figure(image, column)));
  orders.set(`${title}, largest first`, falling((image) => figure(image, column)));
}
orders.set("confidence, lowest first", rising((image) => image.confidence));
const byName = new Intl.Collator("en", { numeric: true }); // many times faster than localeCompare
orders.set("name", (one, other) => byName.compare(one.name, other.name) || one.number - other.number);

function absolute(value) {
  return value === null ? null : Math.abs(value);
}

/* What is asked for; `range` is { column, low, high } of a bar that was chosen. */
const asked = { order: orders.keys().next().value, status: "", flag: "", text: "", range: null };

function isAskedFor(image) {
  const { status, flag, text, range } = asked;
  if (status && image.status !== status) return false;
  if (flag && !image.flags.includes(flag)) return false;
  if (text && !image.name.toLowerCase().includes(text)) return false;
  if (!range) return true;
  const value = figure(image, range.column);
  return value !== null && value >= range.low && value < range.high;
}

/* The images asked for, in the order asked for. */
let chosen = [];

function choose() {
  chosen = images.filter(isAskedFor).sort(orders.get(asked.order));
}
