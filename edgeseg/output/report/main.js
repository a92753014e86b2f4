"use strict";

/* The controls, printing, and the first view. */
const MOST_PAGES = 500;

function refresh() {
  applyFilters();
  showImages();
}

function addOptions(id, first, values, onChange) {
  const list = document.getElementById(id);
  for (const [value, text] of [...(first ? [["", first]] : []), ...values]) {
    const option = make("option", text);
    option.value = value;
    list.append(option);
  }
  list.addEventListener("change", () => { onChange(list.value); refresh(); });
}

/* Values with how many images have them, such as "doubtful (4)". */
function countValues(values, nameOf) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].map(([value, n]) => [value, `${nameOf(value)} (${n})`]);
}

addOptions("sort", "", [...orders.keys()].map((name) => [name, name]), (name) => { filters.order = name; });
const statuses = countValues(images.map(({ status }) => status), statusName);
addOptions("status", "all", statuses, (status) => { filters.status = status; });
const flagCounts = countValues(images.flatMap(({ flags }) => flags), (flag) => run.flags[flag] ?? flag);
addOptions("flag", "all", flagCounts, (flag) => { filters.flag = flag; });

document.getElementById("search").addEventListener("input", ({ target }) => {
  filters.text = target.value.trim().toLowerCase();
  refresh();
});

document.getElementById("clear").addEventListener("click", () => {
  Object.assign(filters, { status: "", flag: "", text: "", range: null });
  for (const id of ["status", "flag", "search"]) document.getElementById(id).value = "";
  releaseBars();
  refresh();
});

document.getElementById("view").addEventListener("click", ({ target }) => {
  asTable = !asTable;
  target.setAttribute("aria-pressed", String(asTable));
  showImages();
});

document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());

/* A page of paper: the picture and the figures. */
function sheet(image) {
  const shown = image.overlay ? [pictureOf(image)] : [];
  if (shown.length) {
    shown[0].loading = "eager";
    shown[0].src = image.overlay;
    shown[0].onerror = () => {
      shown[0].onerror = null;
      if (image.thumbnail) shown[0].src = `data:image/jpeg;base64,${image.thumbnail}`;
    };
  }
  const figures = run.columns.map(({ title, name }) => [title, textIn(image, name)])
    .filter(([, text]) => text).map((each) => each.join(" "));
  const lines = [image.name, badge(image).textContent, image.row.reason, figures.join("; ")];
  if (correctedFigures(image)) lines.push("The picture shows the model's outline.");
  return make("figure", "", "", [...shown, ...lines.filter(Boolean).map((line) => make("p", line))]);
}

const paper = document.getElementById("paper");

function layOutPaper() {
  const sheets = shownImages.slice(0, MOST_PAGES).map(sheet);
  if (shownImages.length > MOST_PAGES) {
    sheets.unshift(make("p", `The first ${MOST_PAGES} of ${shownImages.length} images.`));
  }
  paper.replaceChildren(...sheets);
}

async function print() {
  layOutPaper();
  const pictures = [...paper.querySelectorAll("img")];
  // the second time it is the small picture, where the large one is not beside the page
  await Promise.allSettled(pictures.map((each) => each.decode().catch(() => each.decode())));
  window.print();
}

addEventListener("beforeprint", () => { if (!paper.childElementCount) layOutPaper(); });
addEventListener("afterprint", () => paper.replaceChildren());
document.getElementById("print").addEventListener("click", print);

recallCorrections();
showCharts();
refresh();
