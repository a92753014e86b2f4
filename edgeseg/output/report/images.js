"use strict";

/* The images of the run, their filters and their order. */
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

const byName = new Intl.Collator("en", { numeric: true }); // many times faster than localeCompare

/* A figure of an image as the model measured it; null where it has none. */
function figure(image, column) {
  const cell = image.row[column];
  return cell ? Number(cell) : null;
}

/* What is shown of a head or a class: millimetres where some pixels have a size. */
const measures = run.measures.map(({ title, stem, unit, colour }) => {
  const shown = images.some(({ row }) => row[`${stem}_${unit}`]) ? unit : "px";
  return { title, colour, column: `${stem}_${shown}`, unit: shown.replace("2", "²") };
});

const hasErrors = run.titles.includes("hc_error_mm"); // of HC
const diceColumns = hasErrors ? [] : run.titles.filter((title) => title.endsWith("_dice"));

/* Error of the model against an image's label: mm of HC, or 1 - the lowest Dice of a class. */
function errorOf(image) {
  if (hasErrors) return figure(image, "hc_error_mm");
  const seen = diceColumns.map((column) => figure(image, column)).filter((dice) => dice !== null);
  return seen.length ? 1 - Math.min(...seen) : null;
}

/* What else than columns images are ordered by. */
const MERITS = {
  doubt: (image) => run.worst_first.indexOf(image.status) + image.confidence / 2,
  error: (image) => errorOf(image) && Math.abs(errorOf(image)),
  name: (image) => image.name,
};

/* The order of a key: a merit or a column, with - before it the largest first; images without a
   value come last. */
function orderOf(key) {
  const name = key.replace(/^-/, ""), isText = images.some(({ row }) => isNaN(row[name] ?? ""));
  const value = MERITS[name] ?? ((image) => (isText ? image.row[name] || null : currentFigure(image, name)));
  const sign = name === key ? 1 : -1;
  const compare = (a, b) => sign * (typeof a === "string" ? byName.compare(a, b) : a - b);
  return (one, other) => {
    const [a, b] = [value(one), value(other)];
    const order = a === null || b === null ? (a === null) - (b === null) : compare(a, b);
    return order || one.number - other.number;
  };
}

const orders = [
  ["doubt", "most doubtful first"],
  ...(images.some((image) => errorOf(image) !== null) ? [["-error", "error, largest first"]] : []),
  ...measures.flatMap(({ title, column }) => [
    [column, `${title}, smallest first`], [`-${column}`, `${title}, largest first`],
  ]),
  ["confidence", "confidence, lowest first"],
  ["name", "name"],
];

/* The filters; `range` is { column, low, high } of a bar that was chosen. */
const filters = { order: "doubt", status: "", flag: "", review: "", text: "", range: null };

function passesFilters(image) {
  const { status, flag, review, text, range } = filters;
  if (status && image.status !== status) return false;
  if (flag && !image.flags.includes(flag)) return false;
  if (review && review !== (reviewOf(image) ? "yes" : "no")) return false;
  if (text && !image.name.toLowerCase().includes(text)) return false;
  if (!range) return true;
  const value = currentFigure(image, range.column);
  return value !== null && value >= range.low && value < range.high;
}

let shownImages = []; // those that pass the filters, in order

function refresh() {
  shownImages = images.filter(passesFilters).sort(orderOf(filters.order));
  showImages();
}
