"use strict";

/* The images as cards or as a table, built in portions as the reader scrolls. */
const PORTION = 40, MOST_DOUBTS = 2;
const CENTILES = ["HC", "BPD", "OFD"]
  .map((title) => [title, `${title.toLowerCase()}_centile_intergrowth`]);
const STATUS_SIGNS = { ok: "✓", doubtful: "?", empty: "○", failed: "✗" };

const grid = byId("grid"), tableOf = byId("table"), end = byId("more");
let nBuilt = 0;
let asTable = false;

function thumbnailOf(image) {
  return `data:image/jpeg;base64,${image.thumbnail}`;
}

function pictureOf(image) {
  const small = make("img", {
    alt: `Overlay of ${visible(image.name)}`, loading: "lazy", decoding: "async",
    src: image.thumbnail ? thumbnailOf(image) : image.overlay,
  });
  small.onerror = () => {
    small.replaceWith(make("span", { class: "lost" }, "the overlay cannot be shown"));
  };
  return small;
}

function badge(image) {
  const { status } = image, unusual = isUnusual(image) && "unusual size for the age";
  const text = [statusName(status), unusual, reviewOf(image)].filter(Boolean).join(", ");
  const kind = unusual ? "doubtful" : status;
  return make("span", { class: `badge ${kind}` }, `${STATUS_SIGNS[status]} ${text}`);
}

function statusName(status) {
  return status === "empty" ? run.nothing : status;
}

/* The figures as lines of a card: of regions each class beside its colour. */
function figureLines(image) {
  const isMeasured = image.status === "ok" || image.status === "doubtful";
  if (!isMeasured && !correctedFigures(image)) return [];
  return measures.map(({ title, colour, column, unit }) => {
    const own = textIn(image, column), line = make("span", { class: "figure" });
    if (colour) {
      line.append(make("span", { class: "swatch" }));
      line.firstChild.style.background = colour;
    }
    line.append(visible(`${title} ${own ? `${own} ${unit}` : "–"}`));
    return line;
  });
}

/* Whether a size is unusual for the age that was given. */
function isUnusual(image) {
  return CENTILES.map(([, column]) => currentFigure(image, column))
    .some((centile) => centile !== null && (centile < 3 || centile > 97));
}

/* The smaller lines of a card: age, what else was corrected, error, doubts. */
function noteLines(image) {
  const lines = [], age = textIn(image, "ga_weeks_hadlock");
  if (age) lines.push(`${age.startsWith("none") ? "GA:" : "GA by HC"} ${age}`);
  const centiles = CENTILES.map(([title, column]) => `${title} ${textIn(image, column)}`);
  if (currentFigure(image, "hc_centile_intergrowth") !== null) {
    const weeks = image.texts.ga_weeks_given || `${image.row.ga_weeks_given} weeks`;
    lines.push(`centiles at ${weeks}: ${centiles.join(", ")}`);
  }
  if (correctedFigures(image)?.hc_mm) {
    lines.push(`BPD ${textIn(image, "bpd_mm")} mm`, `OFD ${textIn(image, "ofd_mm")} mm`);
  }
  const error = errorOf(image);
  if (error !== null) {
    lines.push(hasErrors ? `error ${signed(error)} mm` : `lowest Dice ${(1 - error).toFixed(3)}`);
  }
  const doubts = doubtsOf(image), rest = doubts.length - MOST_DOUBTS;
  lines.push(...doubts.slice(0, MOST_DOUBTS));
  if (rest > 0) lines.push(`and ${rest} more`);
  return lines.map((text) => make("span", { class: "why" }, text));
}

/* Why nothing was measured, or the reasons not to trust what was. */
function doubtsOf({ flags, row: { reason } }) {
  if (!flags.length || (flags.length === 1 && flags[0] === "no_pixel_size" && reason)) {
    return reason ? [reason] : [];
  }
  return flags.map((flag) => run.flags[flag] ?? flag);
}

function signed(value, decimals = 1) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(decimals)}`;
}

/* A button that opens an image. */
function opener(image, ...content) {
  return make("button", { type: "button", "data-number": image.number }, ...content);
}

function card(image) {
  const frame = make("span", { class: "picture" }, ...(image.overlay ? [pictureOf(image)] : []));
  const name = make("span", { class: "name" }, image.name);
  const button = opener(image, frame, badge(image), ...figureLines(image), name, ...noteLines(image));
  button.className = "card";
  return make("li", {}, button);
}

function buildMore() {
  const portion = shownImages.slice(nBuilt, nBuilt + PORTION);
  nBuilt += portion.length;
  grid.append(...portion.map(card));
}

/* Have the image at a place on the page. */
function buildPlace(place) {
  if (asTable) fillPart(tableOf.querySelectorAll("tbody")[Math.floor(place / ROWS_A_PART)], true);
  const last = Math.min(place, shownImages.length - 1);
  while (!asTable && nBuilt <= last) buildMore();
}

function showImages() {
  nBuilt = 0;
  grid.replaceChildren();
  tableOf.replaceChildren(...(asTable ? [newTable()] : []));
  grid.hidden = asTable;
  tableOf.hidden = !asTable;
  buildPlace(0);
  const all = shownImages.length === images.length;
  const count = all ? `${images.length}` : `${shownImages.length} of ${images.length}`;
  byId("shown").textContent = `${count} ${images.length === 1 ? "image" : "images"}`;
}

const nearEnd = new IntersectionObserver((seen) => {
  if (asTable || nBuilt >= shownImages.length || !seen.some((entry) => entry.isIntersecting)) return;
  buildMore();
  // it reports changes only, and a portion may leave the end as near as it was
  nearEnd.unobserve(end);
  nearEnd.observe(end);
}, { rootMargin: "1500px" });
nearEnd.observe(end);

/* The images as a table of all columns, whose titles sort. Its rows are grids of one height and there
   only near those in view; the roles say again what tables lose by being grids. */
const ROWS_A_PART = 20;
const partsInView = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) fillPart(target, isIntersecting);
}, { root: tableOf, rootMargin: "500px" });

/* Give a part of the table its rows, or take them away. */
function fillPart(part, isNear) {
  const start = Number(part.dataset.start);
  if (!isNear) part.replaceChildren();
  else if (!part.childElementCount) {
    part.append(...shownImages.slice(start, start + ROWS_A_PART).map(tableRow));
  }
}

/* An empty part of the table, as high as its rows. */
function newPart(_, i) {
  const start = ROWS_A_PART * i, part = make("tbody", { role: "rowgroup", "data-start": start });
  part.style.setProperty("--rows", Math.min(ROWS_A_PART, shownImages.length - start));
  partsInView.observe(part);
  return part;
}

function tableRow(image) {
  const cells = run.titles.slice(2).map((title) => {
    const text = cellIn(image, title).replace(/;(?! )/g, "; ");
    return make("td", { role: "cell", title: text }, text);
  });
  return make("tr", { role: "row" }, make("td", { role: "cell" }, opener(image, image.name)), ...cells);
}

/* A column's title, which breaks behind underscores alone. */
function tableTitle(column) {
  const sort = { [column]: "ascending", [`-${column}`]: "descending" }[filters.order] ?? "none";
  const words = column.split(/(?<=_)/).flatMap((word) => [word, make("wbr")]);
  return make("th", { role: "columnheader", "aria-sort": sort },
    make("button", { type: "button", "data-column": column }, ...words));
}

function newTable() {
  partsInView.disconnect();
  const count = Math.max(1, Math.ceil(shownImages.length / ROWS_A_PART));
  const titles = ["name", ...run.titles.slice(2)].map(tableTitle);
  return make("table", { role: "table" },
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...titles)),
    ...Array.from({ length: count }, newPart));
}

/* Sort by a column; by the same one again, the other way round. */
tableOf.addEventListener("click", ({ target }) => {
  const column = target.closest("[data-column]")?.dataset.column;
  if (!column) return;
  filters.order = filters.order === column ? `-${column}` : column;
  byId("sort").value = filters.order;
  refresh();
  tableOf.querySelector(`[data-column="${column}"]`).focus();
});
