"use strict";

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
