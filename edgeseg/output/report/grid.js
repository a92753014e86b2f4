"use strict";

/* The images as cards or as a table, built in portions as the reader scrolls. */
const PORTION = 120, MOST_DOUBTS = 2;

const grid = document.getElementById("grid");
const tableOf = document.getElementById("table");
let nBuilt = 0;
let asTable = false;

function pictureOf(image, className = "") {
  const picture = make("img", "", className);
  picture.alt = `Overlay of ${visible(image.name)}`;
  picture.loading = "lazy";
  picture.decoding = "async";
  picture.src = image.thumbnail ? `data:image/jpeg;base64,${image.thumbnail}` : image.overlay;
  return picture;
}

function pictureOrWhyNot(image) {
  const picture = pictureOf(image);
  picture.onerror = () => picture.replaceWith(make("span", "the overlay cannot be shown", "lost"));
  return picture;
}

const STATUS_SIGNS = { ok: "✓", doubtful: "?", empty: "○", failed: "✗" };

function statusName(status) {
  return status === "empty" ? run.nothing : status;
}

function badge(image) {
  const review = reviewOf(image), { status } = image;
  const text = `${STATUS_SIGNS[status] ?? ""} ${statusName(status)}${review && `, ${review}`}`;
  return make("span", text, `badge ${status}`);
}

/* The figures as lines of a card: of regions each class beside its colour. */
function figureLines(image) {
  const isMeasured = image.status === "ok" || image.status === "doubtful";
  if (!isMeasured && !correctedFigures(image)) return [];
  return measures.map(({ title, colour, column, unit }) => {
    const own = textIn(image, column);
    const text = `${title} ${own ? `${own} ${unit}` : "–"}`;
    if (!colour) return make("span", text, "figure");
    const swatch = make("span", "", "swatch");
    swatch.style.background = colour;
    const line = make("span", "", "figure", [swatch]);
    line.append(visible(text));
    return line;
  });
}

/* The smaller lines of a card: age, what else was corrected, error, doubts. */
function noteLines(image) {
  const lines = [], age = textIn(image, "ga_weeks_hadlock");
  if (age) lines.push(`${age.startsWith("none") ? "GA:" : "GA by HC"} ${age}`);
  if (correctedFigures(image)?.hc_mm) {
    for (const title of ["BPD", "OFD"]) {
      lines.push(`${title} ${textIn(image, `${title.toLowerCase()}_mm`)} mm`);
    }
  }
  const error = errorOf(image);
  if (error !== null) {
    lines.push(isHead ? `error ${signed(error)} mm` : `lowest Dice ${(1 - error).toFixed(3)}`);
  }
  const doubts = doubtsOf(image), rest = doubts.length - MOST_DOUBTS;
  lines.push(...doubts.slice(0, MOST_DOUBTS));
  if (rest > 0) lines.push(`and ${rest} more`);
  return lines.map((text) => make("span", text, "why"));
}

/* Why nothing was measured, or the reasons not to trust what was. */
function doubtsOf(image) {
  if (!image.flags.length) return image.row.reason ? [image.row.reason] : [];
  return image.flags.map((flag) => meaning(image, flag));
}

function signed(value, decimals = 1) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(decimals)}`;
}

function meaning(image, flag) {
  const own = flag === "no_pixel_size" && image.flags.length === 1 ? image.row.reason : "";
  return own || run.flags[flag] || flag;
}

function card(image) {
  const frame = make("span", "", "picture", image.overlay ? [pictureOrWhyNot(image)] : []);
  const name = make("span", image.name, "name");
  const button = make("button", "", "card", [
    frame, badge(image), ...figureLines(image), name, ...noteLines(image),
  ]);
  button.type = "button";
  button.dataset.number = image.number;
  return make("li", "", "", [button]);
}

function tableRow(image) {
  const open = make("button", image.name);
  open.type = "button";
  open.dataset.number = image.number;
  const cells = run.titles.slice(2).map((title) => make("td", cellIn(image, title)));
  return make("tr", "", "", [make("td", "", "", [open]), ...cells]);
}

function newTable() {
  const titles = ["image", ...run.titles.slice(2)].map((title) => {
    const cell = make("th", title);
    cell.scope = "col";
    return cell;
  });
  const head = make("thead", "", "", [make("tr", "", "", titles)]);
  return make("table", "", "", [head, make("tbody")]);
}

function buildMore() {
  const portion = shownImages.slice(nBuilt, nBuilt + PORTION);
  nBuilt += portion.length;
  if (asTable) tableOf.querySelector("tbody").append(...portion.map(tableRow));
  else grid.append(...portion.map(card));
}

/* Show an image anew, whose correction has changed. */
function rebuild(image) {
  const button = document.querySelector(`main button[data-number="${image.number}"]`);
  button?.closest("li, tr").replaceWith(asTable ? tableRow(image) : card(image));
}

/* Build until the image at a place is in the page. */
function buildTo(place) {
  while (nBuilt <= place && nBuilt < shownImages.length) buildMore();
}

function showImages() {
  nBuilt = 0;
  grid.replaceChildren();
  tableOf.replaceChildren(...(asTable ? [newTable()] : []));
  grid.hidden = asTable;
  tableOf.hidden = !asTable;
  buildMore();
  const all = shownImages.length === images.length;
  const count = all ? `${images.length}` : `${shownImages.length} of ${images.length}`;
  document.getElementById("shown").textContent = `${count} ${images.length === 1 ? "image" : "images"}`;
}

const end = document.getElementById("more");
const nearEnd = new IntersectionObserver((seen) => {
  if (nBuilt >= shownImages.length || !seen.some((entry) => entry.isIntersecting)) return;
  buildMore();
  // it reports changes only, and a portion may leave the end as near as it was
  nearEnd.unobserve(end);
  nearEnd.observe(end);
}, { rootMargin: "1500px" });
nearEnd.observe(end);
