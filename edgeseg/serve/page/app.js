/* The page: images in, figures out, all on this device. */
import { startCamera } from "./camera.js";
import { decodeGray } from "./decode.js";
import { drawMeasured } from "./drawing.js";
import { measure } from "./measure.js";
import { fetchPacked, openNetwork } from "./network.js";
import { keepPixelSize, readPixelSize, showPixelSize } from "./pixel_size.js";
import { tableText } from "./table.js";

const WORDS = {
  ok: "✓ measured", doubtful: "? doubtful: look before you trust it",
  empty: "○ no head found", failed: "✗ failed",
};
const ENGINE = "vendor/ort-wasm-simd-threaded.wasm.gz";
const byId = (id) => document.getElementById(id);
const measured = []; // of this visit: { name, gray, pixelSize, prediction, times }
let shown = null, model = null, network = null;
let queue = Promise.resolve(); // images are measured one after another

function say(text, isWrong = false) {
  byId("state").textContent = visible(text);
  byId("state").classList.toggle("wrong", isWrong);
}

async function fetchChecked(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} cannot be fetched (${response.status})`);
  return response;
}

async function load() {
  if (!("WebAssembly" in window && "DecompressionStream" in window && "OffscreenCanvas" in window)) {
    throw new Error("this browser is too old: it lacks WebAssembly or DecompressionStream; update it");
  }
  const [described, bytes, wasm] = await Promise.all([
    fetchChecked("model.json").then((response) => response.json()),
    fetchChecked("model.onnx").then((response) => response.arrayBuffer()),
    fetchPacked(ENGINE),
  ]);
  model = described;
  network = timed(await openNetwork(new Uint8Array(bytes), wasm, model));
  byId("intended").textContent = model.intended_use;
  byId("controls").hidden = false;
  byId("camera").hidden = !navigator.mediaDevices?.getUserMedia;
  say(`Ready: ${model.name}, on this device.`);
  document.body.dataset.ready = "true";
}

/* The network, with the time that its runs took since it was last asked. */
function timed(plain) {
  let spent = 0;
  return {
    async run(pixels) {
      const started = performance.now();
      const answer = await plain.run(pixels);
      spent += performance.now() - started;
      return answer;
    },
    takeMs() {
      const taken = spent;
      spent = 0;
      return taken;
    },
  };
}

/* Measure gray values, and note how long each step took. */
async function measureGray(name, gray, pixelSize, decodeMs) {
  const started = performance.now();
  const prediction = await measure(gray, pixelSize, network, model);
  const inferenceMs = network.takeMs();
  const restMs = performance.now() - started - inferenceMs;
  return { name, gray, pixelSize, prediction, times: { decodeMs, inferenceMs, restMs } };
}

async function measureFile(file, pixelSize) {
  const started = performance.now();
  try {
    const gray = await decodeGray(file);
    return await measureGray(file.name, gray, pixelSize, performance.now() - started);
  } catch (error) {
    const prediction = { status: "failed", reason: error.message, flags: [], figures: {}, lines: [] };
    return { name: file.name, gray: null, pixelSize, prediction, times: null };
  }
}

/* Measure files one after another; each is shown once it is there. */
function measureFiles(files) {
  const pixelSize = askedPixelSize();
  if (pixelSize === undefined) return queue;
  const all = [...files];
  queue = queue.then(async () => {
    for (const [i, file] of all.entries()) {
      say(`Measuring ${i + 1} of ${all.length}…`);
      add(await measureFile(file, pixelSize));
    }
    say(`Ready: ${measured.length} measured in this visit.`);
  });
  return queue;
}

/* The pixel size that is asked for; null where none is, undefined where it is none. */
function askedPixelSize() {
  try {
    const size = readPixelSize();
    keepPixelSize();
    return size;
  } catch (error) {
    byId("size-x").focus();
    say(error.message, true);
    return undefined;
  }
}

function add(result) {
  const number = measured.push(result) - 1;
  const { name, prediction } = result;
  const text = `${name}: ${prediction.lines[0] ?? prediction.reason}`;
  const button = make("button", text, prediction.status);
  button.type = "button";
  button.addEventListener("click", () => show(number));
  byId("measured").append(make("li", "", "", [button]));
  show(number);
}

function show(number) {
  shown = number;
  [...byId("measured").querySelectorAll("button")].forEach((button, i) =>
    button.setAttribute("aria-current", String(i === number)));
  byId("result").hidden = false;
  display(measured[number]);
}

/* Show a result: its picture, figures and doubts. */
function display({ name, gray, pixelSize, prediction, times }) {
  const { status, reason, flags, lines } = prediction;
  byId("picture-box").hidden = !gray;
  byId("save-picture").hidden = !gray;
  if (gray) {
    const canvas = byId("picture");
    const box = Math.min(byId("picture-box").clientWidth || gray.width, gray.width);
    drawMeasured(canvas, gray, prediction, pixelSize, { scale: gray.width / box, lettered: false });
    canvas.setAttribute("aria-label", `${visible(name)}: ${lines[0] ?? reason}`);
  }
  byId("figure").textContent = lines[0] ?? "";
  byId("verdict").textContent = WORDS[status];
  byId("verdict").className = status;
  const doubts = flags.length ? flags.map((flag) => model.flags[flag]) : reason ? [reason] : [];
  byId("doubts").replaceChildren(...doubts.map((text) => make("li", text)));
  byId("figures").replaceChildren(...details(name, pixelSize, prediction, times));
}

function details(name, pixelSize, { figures, lines, confidence }, times) {
  const entries = [["image", name], ...lines.slice(1).map((line) => ["age", line])];
  const read = (title, value, unit) => {
    if (value !== null && value !== undefined) entries.push([title, `${value.toFixed(1)} ${unit}`]);
  };
  read("BPD", figures.bpd_mm, "mm");
  read("OFD", figures.ofd_mm, "mm");
  read("HC", figures.hc_px, "px");
  if (confidence) entries.push(["confidence", confidence.toFixed(2)]);
  entries.push(["pixel size", pixelSize ? sidesText(pixelSize) : "unknown: HC is in pixels"]);
  if (times) entries.push(["time", `${Math.round(times.decodeMs + times.inferenceMs + times.restMs)} ms`]);
  return entries.flatMap(([title, text]) => [make("dt", title), make("dd", text)]);
}

function sidesText({ xMm, yMm }) {
  const [x, y] = [xMm, yMm].map((mm) => +mm.toPrecision(4));
  return x === y ? `${x} mm` : `${x} × ${y} mm`;
}

async function savePicture() {
  const { name, gray, pixelSize, prediction } = measured[shown];
  const canvas = document.createElement("canvas");
  const scale = Math.max(gray.width / 800, 0.5);
  drawMeasured(canvas, gray, prediction, pixelSize, { scale, lettered: true });
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  saveFile(blob, `${name.replace(/\.[^.]*$/, "")}-measured.png`);
}

function saveTable() {
  saveFile(new Blob([tableText(measured, model.columns)], { type: "text/csv" }), "results.csv");
}

async function tryExample() {
  const { name, pixel_size_mm: mm } = await (await fetchChecked("example.json")).json();
  const blob = await (await fetchChecked(name)).blob();
  showPixelSize(mm);
  await measureFiles([new File([blob], name, { type: "image/png" })]);
}

function listen() {
  byId("files").addEventListener("change", ({ target }) => {
    measureFiles(target.files);
    target.value = "";
  });
  byId("example").addEventListener("click", () => tryExample().catch((error) => say(error.message, true)));
  byId("save-picture").addEventListener("click", savePicture);
  byId("save-table").addEventListener("click", saveTable);
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["size-x", "size-y"]) byId(id).addEventListener("input", () => showPixelSize());
  document.addEventListener("paste", ({ clipboardData }) => {
    if (network && clipboardData.files.length) measureFiles(clipboardData.files);
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("over");
  });
  document.addEventListener("dragleave", ({ relatedTarget }) => {
    if (!relatedTarget) document.body.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    if (network && event.dataTransfer.files.length) measureFiles(event.dataTransfer.files);
  });
  byId("camera").addEventListener("click", () => startCamera({
    button: byId("camera"),
    video: byId("video"),
    pixelSize: askedPixelSize,
    measureFrame: measureGray,
    onFrame(result) {
      byId("result").hidden = false;
      display(result);
    },
    onEnd: add,
    onError: (text) => say(text, true),
  }));
}

listen();
showPixelSize();
load().catch((error) => say(error.message, true));
if (navigator.serviceWorker) navigator.serviceWorker.register("sw.js").catch(() => {
  // then the page needs the network at each visit, and works all the same
});
