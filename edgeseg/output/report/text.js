"use strict";

/* Elements and texts of a page, and tables: nothing from a file is read as markup or as a formula. The
   report and the page that measures share this. */
const byId = (id) => document.getElementById(id);
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu;
const FORMULA = /(?<![^;\t\r\n])(?='*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20])/g;

/* Text with invisible and control characters escaped. */
function visible(text) {
  return text.replace(UNSEEN, escaped);
}

function escaped(sign) {
  const code = sign.codePointAt(0).toString(16);
  if (code.length < 3) return `\\x${code.padStart(2, "0")}`;
  return code.length < 5 ? `\\u${code.padStart(4, "0")}` : `\\U${code.padStart(8, "0")}`;
}

/* Make an element of HTML: its attributes, and the elements and texts in it. */
function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/* Make an element of SVG, likewise. */
function draw(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.map((child) => (typeof child === "string" ? visible(child) : child)));
  return element;
}

/* Have buttons, by their ids, act on clicks. */
function onClick(acts) {
  for (const [id, act] of Object.entries(acts)) byId(id).addEventListener("click", act);
}

/* A cell of a CSV file that a spreadsheet takes for text; see edgeseg/system/text.py. */
function cellText(text) {
  const safe = text.replace(FORMULA, "'");
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/* Rows of cells as the text of a CSV file, with a UTF-8 BOM, for Excel. Lone surrogates are escaped,
   as in results.csv. */
function csvText(rows) {
  return `\ufeff${rows.map((cells) => `${cells.join(",")}\n`).join("")}`.replace(/\p{Cs}/gu, escaped);
}

/* The rows of a CSV file that csvText wrote, each with its cells by title. */
function readCsv(text) {
  const rows = [[]], cell = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g;
  for (const [, quoted, plain, end] of text.replace(/^\ufeff/, "").matchAll(cell)) {
    rows.at(-1).push(quoted?.replaceAll('""', '"') ?? plain);
    if (end !== ",") rows.push([]);
  }
  const [titles, ...others] = rows.filter((cells) => cells.length > 1);
  return others.map((cells) => Object.fromEntries(cells.map((text, i) => [titles[i], text])));
}

/* Let the user save a file. */
function saveFile(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/* Have the browser keep a value from visit to visit, where it keeps any. */
function store(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    // some keep nothing for files
  }
}

/* A value that was stored; null if none is kept, or it is not ours. */
function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(name));
  } catch {
    return null;
  }
}
