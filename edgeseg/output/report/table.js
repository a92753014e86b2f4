"use strict";

/* The images as a table of all columns, whose titles sort. Its rows are grids of one height, so that
   a browser lays out only those in view; the roles say again what tables lose by that. */
function tableRow(image) {
  const cells = run.titles.slice(2).map((title) => {
    const text = cellIn(image, title).replace(/;(?! )/g, "; ");
    return make("td", { role: "cell", title: text }, make("span", {}, text));
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
  const titles = ["name", ...run.titles.slice(2)].map(tableTitle);
  return make("table", { role: "table" },
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...titles)),
    make("tbody", { role: "rowgroup" }));
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
