"use strict";

/* Distributions and errors of the model as SVG; a bar is a filter, a point opens its image. */
const WIDE = 420, HIGH = 220, LEFT = 44, BOTTOM = 24, TOP = 8, RIGHT = 10;
const CENTILES_SD = [-1.8808, -1.2816, 0, 1.2816, 1.8808]; // 3, 10, 50, 90 and 97

/* The round step that gives about `count` steps from low to high. */
function roundStep(low, high, count) {
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((s) => s * power).find((s) => s >= rough);
}

function ticks([low, high], count, least = 0) {
  const step = Math.max(roundStep(low, high, count), least), first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

function scale([low, high], from, to) {
  return (value) => from + ((value - low) / (high - low || 1)) * (to - from);
}

/* An empty chart with its axes, the upright one in steps of `least` or more, and its scales. */
function axes(rangeX, rangeY, titleY, caption, least) {
  const x = scale(rangeX, LEFT, WIDE - RIGHT), y = scale(rangeY, HIGH - BOTTOM, TOP);
  const label = (value, place) => draw("text", place, `${+value.toPrecision(6)}`);
  const svg = draw("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "group", "aria-label": caption },
    draw("path", { class: "axis", fill: "none", d: `M${LEFT} ${TOP}V${HIGH - BOTTOM}H${WIDE - RIGHT}` }),
    ...ticks(rangeX, 5).map((v) => label(v, { x: x(v), y: HIGH - 11, "text-anchor": "middle" })),
    ...ticks(rangeY, 4, least).map((v) => label(v, { x: LEFT - 5, y: y(v) + 4, "text-anchor": "end" })),
    draw("text", { x: LEFT + 5, y: TOP + 9 }, titleY));
  const holder = make("figure", { class: "chart" }, svg, make("figcaption", {}, caption));
  return { svg, x, y, holder };
}

function rangeOf(values) {
  return values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
}

/* Histogram of a column; pressing a bar shows only its images. */
function histogram(column, title, unit) {
  const values = images.map((image) => currentFigure(image, column)).filter((v) => v !== null);
  if (values.length < 2) return [];
  const [low, high] = rangeOf(values);
  const step = roundStep(low, high, Math.min(30, Math.max(8, 2 * Math.sqrt(values.length))));
  const edges = [];
  for (let i = Math.floor(low / step); !(edges.at(-1) > high); i++) edges.push(+(i * step).toPrecision(9));
  const counts = edges.slice(1).map((to, i) => values.filter((v) => v >= edges[i] && v < to).length);
  const caption = `${title}, in ${unit}, of ${values.length} images`;
  const { svg, x, y, holder } = axes(rangeOf(edges), [0, Math.max(...counts)], "images", caption, 1);
  counts.forEach((n, i) => {
    if (!n) return;
    const [from, to] = [edges[i], edges[i + 1]];
    const text = `${n} ${n === 1 ? "image" : "images"} from ${from} to ${to} ${unit}`;
    const bar = draw("rect", {
      class: "bar", x: x(from) + 1, width: Math.max(1, x(to) - x(from) - 2),
      y: y(n), height: y(0) - y(n), tabindex: 0, role: "button",
      "aria-pressed": filters.range?.column === column && filters.range.low === from,
      "aria-label": text,
    }, draw("title", {}, text));
    onPress(bar, () => toggleRange(bar, { column, low: from, high: to }));
    svg.append(bar);
  });
  return [holder];
}

/* Points, one an image, which open it. Of them the tab key stops at one, arrows move to the next. */
function addPoints({ svg, x, y }, known, xOf, yOf, textOf) {
  known.sort((one, other) => xOf(one) - xOf(other));
  for (const image of known) {
    const kind = isUnusual(image) ? "doubtful" : image.status;
    const text = visible(`${image.name}: ${textOf(image)}`);
    svg.append(draw("circle", {
      class: `point ${kind}`, cx: x(xOf(image)), cy: y(yOf(image)), r: 3,
      "data-number": image.number, tabindex: image === known[0] ? 0 : -1, role: "button",
      "aria-label": text,
    }, draw("title", {}, text)));
  }
  onPress(svg, ({ target }) => {
    const number = target.closest("[data-number]")?.dataset.number;
    if (number) openViewer(images[number]);
  });
  svg.addEventListener("keydown", walkPoints);
}

/* Errors, and differences against means (Bland and Altman 1986). */
function errorCharts() {
  const known = images.filter((image) => figure(image, "hc_error_mm") !== null);
  if (known.length < 2) return [];
  const errors = known.map((image) => figure(image, "hc_error_mm"));
  const meanOf = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const bias = meanOf(errors), mad = meanOf(errors.map(Math.abs));
  const variance = meanOf(errors.map((error) => (error - bias) ** 2));
  const half = 1.96 * Math.sqrt((variance * errors.length) / (errors.length - 1));
  const meanHc = (image) => (figure(image, "hc_mm") + figure(image, "hc_reference_mm")) / 2;
  const errorMm = (image) => figure(image, "hc_error_mm");
  const guides = [bias - half, bias, bias + half];
  const caption = `Bland-Altman, against the mean of both: bias ${signed(bias, 2)} mm, limits of ` +
    `agreement ${signed(guides[0], 2)} and ${signed(guides[2], 2)} mm`;
  const chart = axes(
    rangeOf(known.map(meanHc)), rangeOf([...errors, ...guides]), "measured − label, mm", caption,
  );
  for (const height of guides.map(chart.y)) {
    chart.svg.append(draw("line", { class: "guide", x1: LEFT, x2: WIDE - RIGHT, y1: height, y2: height }));
  }
  addPoints(chart, known, meanHc, errorMm, (image) => `${signed(errorMm(image))} mm`);
  const title = `Error of HC (mean absolute error ${mad.toFixed(2)} mm)`;
  return [...histogram("hc_error_mm", title, "mm"), chart.holder];
}

/* HC against the age that was given, among the centiles of that age. */
function growthChart() {
  const age = (image) => figure(image, "ga_weeks_given"), hcMm = (image) => currentFigure(image, "hc_mm");
  const known = images.filter((image) => age(image) !== null && hcMm(image) !== null);
  if (!known.length) return [];
  const weeks = Array.from({ length: 53 }, (_, i) => 14 + i / 2); // to 40, as the centiles
  const expected = weeks.map((week) => headFigures.expected("hc", week));
  const curves = CENTILES_SD.map((z) => expected.map(([mean, sd]) => mean + z * sd));
  const caption = "HC against the age given in weeks, with centiles 3, 10, 50, 90 and 97 of " +
    "INTERGROWTH-21st (Papageorghiou et al. 2014); orange: below 3, above 97, or doubtful";
  const range = rangeOf([...curves.flat(), ...known.map(hcMm)]);
  const chart = axes(rangeOf([...weeks, ...known.map(age)]), range, "HC, mm", caption);
  for (const curve of curves) {
    const places = curve.map((mm, i) => `${chart.x(weeks[i])} ${chart.y(mm)}`);
    chart.svg.append(draw("path", { class: "curve", fill: "none", d: `M${places.join("L")}` }));
  }
  addPoints(chart, known, age, hcMm, (image) =>
    `${hcMm(image).toFixed(1)} mm at ${image.texts.ga_weeks_given}`);
  return [chart.holder];
}

function drawCharts() {
  byId("charts").replaceChildren(
    ...measures.flatMap(({ title, column, unit }) => histogram(column, title, unit)),
    ...growthChart(), ...errorCharts(),
  );
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
