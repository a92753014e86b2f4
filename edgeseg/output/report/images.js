"use strict";

/* The images of the run, their filters and their order. */
const byId = (id) => document.getElementById(id);
const run = JSON.parse(byId("data").textContent);
const isHead = run.task === "head";

/* Rows of the table as objects, with their texts for people by column. */
const images = run.images.map(({ cells, texts, ...picture }, number) => {
  const row = Object.fromEntries(run.titles.map((title, i) => [title, cells[i]]));
  return {
    ...picture, // its overlay, thumbnail and size
    number, row,
    texts: Object.fromEntries(run.columns.map(({ name }, i) => [name, texts[i]])),
    name: row.frame ? `${row.file}, frame ${row.frame}` : row.file,
    status: row.status,
    flags: row.flags ? row.flags.split(";") : [],
    confidence: Number(row.confidence || 0),
  };
});

/* A figure of an image as the model measured it; null where it has none. */
function figure(image, column) {
  const cell = image.row[column];
  return cell ? Number(cell) : null;
}

/* What is shown of a head or a class: millimetres where some pixels have a size. */
function makeMeasure(title, stem, unit, colour) {
  const hasSize = images.some(({ row }) => row[`${stem}_${unit}`]);
  const shown = hasSize ? unit : "px";
  return { title, colour, column: `${stem}_${shown}`, unit: shown.replace("2", "²") };
}

const measures = isHead ? [makeMeasure("HC", "hc", "mm")]
  : run.structures.map(({ name, colour }) => makeMeasure(name, `${name}_area`, "mm2", colour));

/* Error of the model against an image's label: mm of HC, or 1 - the lowest Dice of a class. */
function errorOf(image) {
  if (isHead) return figure(image, "hc_error_mm");
  const dices = run.structures.map(({ name }) => figure(image, `${name}_dice`));
  const seen = dices.filter((dice) => dice !== null);
  return seen.length ? 1 - Math.min(...seen) : null;
}

const WORST_FIRST = ["failed", "doubtful", "empty", "ok"];

/* Order by a number, the smallest first, or with sign -1 the largest; images without it come last. */
function orderBy(value, sign = 1) {
  return (one, other) => {
    const [a, b] = [value(one), value(other)];
    const order = a === null || b === null ? (a === null) - (b === null) : sign * (a - b);
    return order || one.number - other.number;
  };
}

const orders = new Map();
orders.set("most doubtful first", orderBy((i) => WORST_FIRST.indexOf(i.status) + i.confidence / 2));
if (images.some((image) => errorOf(image) !== null)) {
  orders.set("error, largest first", orderBy((i) => errorOf(i) && Math.abs(errorOf(i)), -1));
}
for (const { title, column } of measures) {
  orders.set(`${title}, smallest first`, orderBy((image) => currentFigure(image, column)));
  orders.set(`${title}, largest first`, orderBy((image) => currentFigure(image, column), -1));
}
orders.set("confidence, lowest first", orderBy((image) => image.confidence));
const byName = new Intl.Collator("en", { numeric: true }); // many times faster than localeCompare
orders.set("name", (one, other) => byName.compare(one.name, other.name) || one.number - other.number);

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

let shownImages = []; // those that pass the filters, in order

function refresh() {
  shownImages = images.filter(passesFilters).sort(orders.get(filters.order));
  showImages();
}
