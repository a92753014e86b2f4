"use strict";

/* The controls, printing, and the first view. */
const MOST_PAGES = 500;

function refresh() {
  choose();
  showChosen();
}

function offer(id, first, values, onChange) {
  const list = document.getElementById(id);
  for (const [value, text] of [...(first ? [["", first]] : []), ...values]) {
    const option = make("option", text);
    option.value = value;
    list.append(option);
  }
  list.addEventListener("change", () => { onChange(list.value); refresh(); });
}

function count(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].map(([value, n]) => [value, `${value} (${n})`]);
}

offer("sort", "", [...orders.keys()].map((name) => [name, name]), (name) => { asked.order = name; });
offer("status", "all", count(images.map(({ status }) => status)), (status) => { asked.status = status; });
offer("flag", "any or none", count(images.flatMap(({ flags }) => flags)), (flag) => { asked.flag = flag; });

document.getElementById("search").addEventListener("input", ({ target }) => {
  asked.text = target.value.trim().toLowerCase();
  refresh();
});

document.getElementById("clear").addEventListener("click", () => {
  Object.assign(asked, { status: "", flag: "", text: "", range: null });
  for (const id of ["status", "flag", "search"]) document.getElementById(id).value = "";
  releaseBars();
  refresh();
});

document.getElementById("view").addEventListener("click", ({ target }) => {
  asTable = !asTable;
  target.setAttribute("aria-pressed", String(asTable));
  showChosen();
});

document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());

/* A page of paper: the picture, and what was measured. */
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
  const read = run.columns.map(({ title }, i) => image.texts[i] && `${title} ${image.texts[i]}`);
  const lines = [image.name, `${image.status}. ${image.row.reason}`, read.filter(Boolean).join("; ")];
  return make("figure", "", "", [...shown, ...lines.map((line) => make("p", line))]);
}

const paper = document.getElementById("paper");

function layOutPaper() {
  const sheets = chosen.slice(0, MOST_PAGES).map(sheet);
  if (chosen.length > MOST_PAGES) {
    sheets.unshift(make("p", `The first ${MOST_PAGES} of ${chosen.length} images.`));
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
