"use strict";

/* Distributions and errors of the model as SVG; a bar is a filter, a point opens its image. */
const SVG = "http://www.w3.org/2000/svg";
const WIDE = 420, HIGH = 190, LEFT = 44, BOTTOM = 24, TOP = 8, RIGHT = 10;

function draw(tag, attributes, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = visible(text);
  return element;
}

/* About `count` round numbers from low to high. */
function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((s) => s * power).find((s) => s >= rough);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

function scale(low, high, from, to) {
  return (value) => from + ((value - low) / (high - low || 1)) * (to - from);
}

/* An empty chart with its axes; returns it and its scales. */
function axes([lowX, highX], [lowY, highY], titleY, caption) {
  const svg = draw("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "group", "aria-label": caption });
  const x = scale(lowX, highX, LEFT, WIDE - RIGHT), y = scale(lowY, highY, HIGH - BOTTOM, TOP);
  svg.append(draw("path", {
    class: "axis", fill: "none", d: `M${LEFT} ${TOP}V${HIGH - BOTTOM}H${WIDE - RIGHT}`,
  }));
  for (const tick of ticks(lowX, highX, 5)) {
    svg.append(draw("text", { x: x(tick), y: HIGH - 11, "text-anchor": "middle" }, `${+tick.toPrecision(6)}`));
  }
  for (const tick of ticks(lowY, highY, 4)) {
    svg.append(draw("text", { x: LEFT - 5, y: y(tick) + 4, "text-anchor": "end" }, `${+tick.toPrecision(6)}`));
  }
  svg.append(draw("text", { x: LEFT + 5, y: TOP + 9 }, titleY));
  const holder = make("figure", "", "chart", [svg, make("figcaption", caption)]);
  return { svg, x, y, holder };
}

function range(values) {
  return values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
}

/* Edges of bars of one width, and the bar of a value. Values are compared with the edges, as the
   filter does: a quotient alone puts 0.3 below an edge at 0.3. */
function barsOf(step) {
  const edge = (i) => +(i * step).toPrecision(9);
  const within = (value) => {
    const guess = Math.floor(value / step);
    return value < edge(guess + 1) ? guess : guess + 1;
  };
  return { edge, within };
}

/* Histogram of a column; pressing a bar shows only its images. */
function histogram(column, title, unit) {
  const values = images.map((image) => figure(image, column)).filter((v) => v !== null);
  if (values.length < 2) return null;
  const [low, high] = range(values);
  const edges = ticks(low, high, Math.min(30, Math.max(8, 2 * Math.sqrt(values.length))));
  const { edge, within } = barsOf(edges.length > 1 ? edges[1] - edges[0] : 1);
  const first = within(low), counts = new Array(within(high) - first + 1).fill(0);
  for (const value of values) counts[within(value) - first] += 1;
  const caption = `${title}, in ${unit}, of ${values.length} images`;
  const { svg, x, y, holder } = axes(
    [edge(first), edge(first + counts.length)], [0, Math.max(...counts)], "images", caption,
  );
  counts.forEach((n, i) => {
    if (!n) return;
    const from = edge(first + i), to = edge(first + i + 1);
    const bar = draw("rect", {
      class: "bar", x: x(from) + 1, width: Math.max(1, x(to) - x(from) - 2),
      y: y(n), height: y(0) - y(n), tabindex: 0, role: "button", "aria-pressed": "false",
      "aria-label": `${n} ${n === 1 ? "image" : "images"} from ${from} to ${to} ${unit}`,
    });
    bar.append(draw("title", {}, bar.getAttribute("aria-label")));
    onPress(bar, () => toggleRange(bar, { column, low: from, high: to }));
    svg.append(bar);
  });
  return holder;
}

/* Points of images with guide lines at some heights; a point opens its image. The tab key stops at
   one of them, arrows move to the next. */
function scatter(points, caption, guides) {
  const ys = [...points.map(({ y }) => y), ...guides];
  const { svg, x, y, holder } = axes(
    range(points.map(({ x }) => x)), range(ys), "measured − label, mm", caption,
  );
  for (const height of guides) {
    svg.append(draw("line", { class: "guide", x1: LEFT, x2: WIDE - RIGHT, y1: y(height), y2: y(height) }));
  }
  for (const point of [...points].sort((one, other) => one.x - other.x)) {
    const circle = draw("circle", {
      class: `point ${point.image.status}`, cx: x(point.x), cy: y(point.y), r: 3,
      "data-number": point.image.number, tabindex: -1, role: "button",
      "aria-label": `${visible(point.image.name)}: ${signed(point.y)} mm`,
    });
    circle.append(draw("title", {}, point.image.name));
    svg.append(circle);
  }
  svg.querySelector(".point").setAttribute("tabindex", 0);
  onPress(svg, ({ target }) => {
    const number = target.closest("[data-number]")?.dataset.number;
    if (number) openViewer(images[number]);
  });
  svg.addEventListener("keydown", walkPoints);
  return holder;
}

/* Differences against means (Bland and Altman 1986), and errors against size. */
function errorCharts() {
  const known = images.filter((i) => figure(i, "hc_error_mm") !== null);
  if (known.length < 2) return [];
  const errors = known.map((image) => figure(image, "hc_error_mm"));
  const bias = errors.reduce((sum, error) => sum + error, 0) / errors.length;
  const squares = errors.reduce((sum, error) => sum + (error - bias) ** 2, 0);
  const half = 1.96 * Math.sqrt(squares / (errors.length - 1));
  const mad = errors.reduce((sum, error) => sum + Math.abs(error), 0) / errors.length;
  const against = (value) => known.map((image, i) => ({ image, x: value(image), y: errors[i] }));
  const mean = (image) => (figure(image, "hc_mm") + figure(image, "hc_reference_mm")) / 2;
  const limits = `bias ${signed(bias, 2)} mm, limits of agreement ${signed(bias - half, 2)} and ` +
    `${signed(bias + half, 2)} mm`;
  return [
    histogram("hc_error_mm", `Error of HC (mean absolute error ${mad.toFixed(2)} mm)`, "mm"),
    scatter(against(mean), `Bland-Altman, against the mean of both: ${limits}`, [bias - half, bias, bias + half]),
    scatter(against((image) => figure(image, "hc_reference_mm")), "Error against the label's HC, mm", [0]),
  ];
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
  bar.setAttribute("aria-pressed", String(!isOn));
  filters.range = isOn ? null : range;
  refresh();
}

function releaseBars() {
  for (const bar of document.querySelectorAll("rect.bar")) bar.setAttribute("aria-pressed", "false");
}

function showCharts() {
  const own = measures.map(({ title, column, unit }) => histogram(column, `${title} by the model`, unit));
  const charts = [...own, ...(isHead ? errorCharts() : [])].filter(Boolean);
  document.getElementById("charts").append(...charts);
}
