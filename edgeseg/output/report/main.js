"use strict";

/* The controls, printing, and the first view. */
const MOST_PAGES = 500;

/* Let a list of [value, text] choose one of the filters. */
function addOptions(id, filter, options) {
  const list = byId(id);
  list.append(...options.map(([value, text]) => make("option", { value }, text)));
  list.addEventListener("change", () => { filters[filter] = list.value; refresh(); });
}

/* Values with how many images have them, such as "doubtful (4)", behind one for all. */
function countValues(values, nameOf) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [["", "all"], ...[...counts].map(([value, n]) => [value, `${nameOf(value)} (${n})`])];
}

addOptions("sort", "order", orders);
addOptions("status", "status", countValues(images.map(({ status }) => status), statusName));
addOptions("flag", "flag",
  countValues(images.flatMap(({ flags }) => flags), (flag) => run.flags[flag] ?? flag));
addOptions("review", "review", [["", "all"], ["no", "not reviewed"], ["yes", "reviewed"]]);

byId("search").addEventListener("input", ({ target }) => {
  filters.text = target.value.trim().toLowerCase();
  refresh();
});

byId("clear").addEventListener("click", () => {
  Object.assign(filters, { status: "", flag: "", review: "", text: "", range: null });
  for (const id of ["status", "flag", "review", "search"]) byId(id).value = "";
  releaseBars();
  refresh();
});

byId("view").addEventListener("click", ({ target }) => {
  asTable = !asTable;
  target.setAttribute("aria-pressed", asTable);
  showImages();
});

byId("controls").addEventListener("submit", (event) => event.preventDefault());

/* A page of paper: the picture and the figures. */
function sheet(image) {
  const figures = run.columns.map(({ title, name }) => [title, textIn(image, name)])
    .filter(([, text]) => text).map((each) => each.join(" "));
  const day = new Date().toLocaleDateString("sv"); // 2026-01-31
  const heading = `Printed ${day}. ${byId("heading").textContent}`;
  const lines = [heading, image.name, badge(image).textContent, image.row.reason, figures.join("; ")];
  if (correctedFigures(image)) lines.push("The picture shows the model's outline.");
  const found = make("figure", {}, ...lines.filter(Boolean).map((line) => make("p", {}, line)));
  if (!image.overlay) return found;
  const large = make("img", { src: image.overlay });
  large.onerror = () => {
    large.onerror = null;
    if (image.thumbnail) large.src = thumbnailOf(image);
  };
  found.firstChild.after(large);
  return found;
}

const paper = byId("paper");

function layOutPaper() {
  const sheets = shownImages.slice(0, MOST_PAGES).map(sheet);
  if (shownImages.length > MOST_PAGES) {
    sheets.unshift(make("p", {}, `The first ${MOST_PAGES} of ${shownImages.length} images.`));
  }
  paper.replaceChildren(...sheets);
}

byId("print").addEventListener("click", async () => {
  layOutPaper();
  const pictures = [...paper.querySelectorAll("img")];
  // the second time it is the small picture, where the large one is not beside the page
  await Promise.allSettled(pictures.map((each) => each.decode().catch(() => each.decode())));
  window.print();
});
addEventListener("beforeprint", () => { if (!paper.childElementCount) layOutPaper(); });
addEventListener("afterprint", () => paper.replaceChildren());

recallCorrections();
drawCharts();
refresh();
