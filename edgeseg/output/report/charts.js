"use strict";

/* Distributions and errors of the model as SVG; a bar is a filter, a point opens its image. */
const WIDE = 420, HIGH = 190, LEFT = 44, BOTTOM = 24, TOP = 8, RIGHT = 10;

/* The round step that gives about `count` steps from low to high. */
function roundStep(low, high, count) {
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((s) => s * power).find((s) => s >= rough);
}

function ticks([low, high], count) {
  const step = roundStep(low, high, count), first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

function scale([low, high], from, to) {
  return (value) => from + ((value - low) / (high - low || 1)) * (to - from);
}

/* An empty chart with its axes; returns it and its scales. */
function axes(rangeX, rangeY, titleY, caption) {
  const x = scale(rangeX, LEFT, WIDE - RIGHT), y = scale(rangeY, HIGH - BOTTOM, TOP);
  const label = (value, place) => draw("text", place, `${+value.toPrecision(6)}`);
  const svg = draw("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "group", "aria-label": caption },
    draw("path", { class: "axis", fill: "none", d: `M${LEFT} ${TOP}V${HIGH - BOTTOM}H${WIDE - RIGHT}` }),
    ...ticks(rangeX, 5).map((v) => label(v, { x: x(v), y: HIGH - 11, "text-anchor": "middle" })),
    ...ticks(rangeY, 4).map((v) => label(v, { x: LEFT - 5, y: y(v) + 4, "text-anchor": "end" })),
    draw("text", { x: LEFT + 5, y: TOP + 9 }, titleY));
  const holder = make("figure", { class: "chart" }, svg, make("figcaption", {}, caption));
  return { svg, x, y, holder };
}

function rangeOf(values) {
  return values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
}

/* Histogram of a column; pressing a bar shows only its images. */
function histogram(column, title, unit) {
  const values = images.map((image) => figure(image, column)).filter((v) => v !== null);
  if (values.length < 2) return [];
  const [low, high] = rangeOf(values);
  const step = roundStep(low, high, Math.min(30, Math.max(8, 2 * Math.sqrt(values.length))));
  const edges = [];
  for (let i = Math.floor(low / step); !(edges.at(-1) > high); i++) edges.push(+(i * step).toPrecision(9));
  const counts = edges.slice(1).map((to, i) => values.filter((v) => v >= edges[i] && v < to).length);
  const caption = `${title}, in ${unit}, of ${values.length} images`;
  const { svg, x, y, holder } = axes(rangeOf(edges), [0, Math.max(...counts)], "images", caption);
  counts.forEach((n, i) => {
    if (!n) return;
    const [from, to] = [edges[i], edges[i + 1]];
    const text = `${n} ${n === 1 ? "image" : "images"} from ${from} to ${to} ${unit}`;
    const bar = draw("rect", {
      class: "bar", x: x(from) + 1, width: Math.max(1, x(to) - x(from) - 2),
      y: y(n), height: y(0) - y(n), tabindex: 0, role: "button", "aria-pressed": "false",
      "aria-label": text,
    }, draw("title", {}, text));
    onPress(bar, () => toggleRange(bar, { column, low: from, high: to }));
    svg.append(bar);
  });
  return [holder];
}

/* Errors, and differences against means (Bland and Altman 1986). Of the points the tab key stops at
   one, arrows move to the next. */
function errorCharts() {
  const known = images.filter((image) => figure(image, "hc_error_mm") !== null);
  if (known.length < 2) return [];
  const errors = known.map((image) => figure(image, "hc_error_mm"));
  const meanOf = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const bias = meanOf(errors), mad = meanOf(errors.map(Math.abs));
  const variance = meanOf(errors.map((error) => (error - bias) ** 2));
  const half = 1.96 * Math.sqrt((variance * errors.length) / (errors.length - 1));
  const meanHc = (image) => (figure(image, "hc_mm") + figure(image, "hc_reference_mm")) / 2;
  known.sort((one, other) => meanHc(one) - meanHc(other));
  const guides = [bias - half, bias, bias + half];
  const caption = `Bland-Altman, against the mean of both: bias ${signed(bias, 2)} mm, limits of ` +
    `agreement ${signed(guides[0], 2)} and ${signed(guides[2], 2)} mm`;
  const { svg, x, y, holder } = axes(
    rangeOf(known.map(meanHc)), rangeOf([...errors, ...guides]), "measured − label, mm", caption,
  );
  for (const height of guides.map(y)) {
    svg.append(draw("line", { class: "guide", x1: LEFT, x2: WIDE - RIGHT, y1: height, y2: height }));
  }
  for (const image of known) {
    const error = figure(image, "hc_error_mm");
    svg.append(draw("circle", {
      class: `point ${image.status}`, cx: x(meanHc(image)), cy: y(error), r: 3,
      "data-number": image.number, tabindex: image === known[0] ? 0 : -1, role: "button",
      "aria-label": `${visible(image.name)}: ${signed(error)} mm`,
    }, draw("title", {}, image.name)));
  }
  onPress(svg, ({ target }) => {
    const number = target.closest("[data-number]")?.dataset.number;
    if (number) openViewer(images[number]);
  });
  svg.addEventListener("keydown", walkPoints);
  const title = `Error of HC (mean absolute error ${mad.toFixed(2)} mm)`;
  return [...histogram("hc_error_mm", title, "mm"), holder];
}

function walkPoints(event) {
  const sibling = { ArrowLeft: "previousElementSibling", ArrowRight: "nextElementSibling" }[event.key];
  const next = sibling && event.target[sibling];
  if (!next?.matches(".point")) return;
  event.preventDefault();
  event.target.setAttribute("tabindex", -1);
  next.setAttribute("tabindex", 0);
  next.focus();
}

function onPress(element, act) {
  element.addEventListener("click", act);
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    act(event);
  });
}

function toggleRange(bar, range) {
  const isOn = bar.getAttribute("aria-pressed") === "true";
  releaseBars();
  bar.setAttribute("aria-pressed", !isOn);
  filters.range = isOn ? null : range;
  refresh();
}

function releaseBars() {
  for (const bar of document.querySelectorAll("rect.bar")) bar.setAttribute("aria-pressed", "false");
}
