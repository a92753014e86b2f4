/* The page: images in, figures out, all on this device. */
import { startCamera } from "./camera.js";
import { decodeGray } from "./decode.js";
import { drawMeasured } from "./drawing.js";
import { measure } from "./measure.js";
import { fetchPacked, openNetwork } from "./network.js";
import {
  confirmationText, confirmPixelSize, enterPixelSize, pixelSizeFor, readPixelSize, showPixelSize,
  sizeText,
} from "./pixel_size.js";
import { tableText } from "./table.js";

const WORDS = {
  ok: "✓ ok", doubtful: "? doubtful: check it before use", empty: "○ no head", failed: "✗ failed",
};
const ENGINE = "vendor/ort-wasm-simd-threaded.wasm.gz";
const byId = (id) => document.getElementById(id);
const measured = []; // of this visit: what measureFile returns, and a button each
let shown = null, model = null, network = null;
let queue = Promise.resolve();

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

/* The network, with a clock: the time of its runs since the clock was last read. */
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

/* Run a task once those before it have ended: one image is measured at a time. */
function enqueue(task) {
  const run = queue.then(task);
  queue = run.catch(() => {});
  return run;
}

function sayError(error) {
  say(error.message, true);
}

/* Measure gray values, and note how long each step took. */
async function measureGray(gray, pixelSize) {
  const started = performance.now();
  const prediction = await measure(gray, pixelSize, network, model);
  const inferenceMs = network.takeMs();
  const restMs = performance.now() - started - inferenceMs;
  return { gray, pixelSize, prediction, inferenceMs, restMs };
}

/* Measure an image file with a pixel size that its gray values may decide. */
async function measureFile(file, sizeFor) {
  const started = performance.now();
  try {
    const gray = await decodeGray(file);
    const decodeMs = performance.now() - started;
    return { name: file.name, decodeMs, ...await measureGray(gray, sizeFor(gray)) };
  } catch (error) {
    const prediction = { status: "failed", reason: error.message, flags: [], figures: {}, lines: [] };
    return { name: file.name, gray: null, pixelSize: null, prediction };
  }
}

/* Measure files one after another; each is shown as soon as it is measured. */
function measureFiles(files) {
  try {
    readPixelSize();
  } catch (error) {
    byId("size-x").focus();
    sayError(error);
    return queue;
  }
  const all = [...files];
  return enqueue(async () => {
    for (const [i, file] of all.entries()) {
      say(`Measuring ${i + 1} of ${all.length}…`);
      add({ takesPixelSize: true, ...await measureFile(file, pixelSizeFor) });
    }
    say(`Ready: ${measured.length} measured in this visit.`);
  });
}

/* Measure the image that is shown with the pixel size in the fields as it is by then. */
function measureAgain() {
  const result = shown;
  if (!canTakePixelSize(result) || result.isWaiting) return;
  result.isWaiting = true;
  enqueue(async () => {
    result.isWaiting = false;
    Object.assign(result, await measureGray(result.gray, pixelSizeFor(result.gray)));
    describe(result);
    if (shown === result) display(result);
  }).catch(sayError);
}

/* Whether the pixel size in the fields is for a result: not for the example or a camera's frame. */
function canTakePixelSize(result) {
  return Boolean(result?.takesPixelSize && result.gray);
}

function add(result) {
  result.button = make("button", { type: "button" });
  result.button.addEventListener("click", () => show(result));
  measured.push(result);
  describe(result);
  byId("measured").append(make("li", {}, result.button));
  show(result);
}

function describe({ button, name, prediction }) {
  button.textContent = visible(`${name}: ${prediction.lines[0] ?? prediction.reason}`);
  button.className = prediction.status;
}

function show(result) {
  for (const { button } of measured) button.setAttribute("aria-current", button === result.button);
  display(result);
}

/* Show a result: its picture, figures and doubts. */
function display(result) {
  const { name, gray, pixelSize, prediction } = result;
  const { status, reason, flags, lines } = prediction;
  shown = result;
  byId("result").hidden = false;
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
  byId("doubts").replaceChildren(...doubts.map((text) => make("li", {}, text)));
  byId("figures").replaceChildren(...details(result));
  showConfirmation();
}

/* Ask whether the pixel size in the fields is right for an image that was measured without it. */
function showConfirmation() {
  const isOpen = canTakePixelSize(shown) && !shown.pixelSize;
  const text = isOpen ? confirmationText(shown.gray) : "";
  byId("confirmation").hidden = !text;
  byId("question").textContent = text;
}

function details({ name, pixelSize, prediction, decodeMs = 0, inferenceMs, restMs }) {
  const { figures, lines, confidence } = prediction;
  const entries = [["image", name], ...lines.slice(1).map((line) => ["age", line])];
  const read = (title, value, unit) => {
    if (value !== null && value !== undefined) entries.push([title, `${value.toFixed(1)} ${unit}`]);
  };
  read("BPD", figures.bpd_mm, "mm");
  read("OFD", figures.ofd_mm, "mm");
  read("HC", figures.hc_px, "px");
  if (confidence) entries.push(["confidence", confidence.toFixed(2)]);
  entries.push(["pixel size", pixelSize ? sizeText(pixelSize) : "unknown: HC is in pixels"]);
  if (restMs) entries.push(["time", `${Math.round(decodeMs + inferenceMs + restMs)} ms`]);
  return entries.flatMap(([title, text]) => [make("dt", {}, title), make("dd", {}, text)]);
}

async function savePicture() {
  const { name, gray, pixelSize, prediction } = shown;
  const canvas = document.createElement("canvas");
  const scale = Math.max(gray.width / 800, 0.5);
  drawMeasured(canvas, gray, prediction, pixelSize, { scale, lettered: true });
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  saveFile(blob, `${name.replace(/\.[^.]*$/, "")}-measured.png`);
}

function saveTable() {
  saveFile(new Blob([tableText(measured, model.columns)], { type: "text/csv" }), "results.csv");
}

/* Measure the example with its own pixel size; that in the fields is for the user's images. */
async function tryExample() {
  const { name, pixel_size_mm: mm } = await (await fetchChecked("example.json")).json();
  const file = new File([await (await fetchChecked(name)).blob()], name);
  await enqueue(async () => {
    say("Measuring the example…");
    add(await measureFile(file, () => ({ xMm: mm, yMm: mm, source: "option" })));
    say(`Ready: ${measured.length} measured in this visit.`);
  });
}

function listen() {
  byId("files").addEventListener("change", ({ target }) => {
    measureFiles(target.files);
    target.value = "";
  });
  byId("example").addEventListener("click", () => tryExample().catch(sayError));
  byId("save-picture").addEventListener("click", savePicture);
  byId("save-table").addEventListener("click", saveTable);
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["size-x", "size-y"]) {
    byId(id).addEventListener("input", () => {
      enterPixelSize(canTakePixelSize(shown) ? shown.gray : null);
      measureAgain();
    });
  }
  byId("confirm").addEventListener("click", () => {
    confirmPixelSize(shown.gray);
    measureAgain();
  });
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
    // a camera sees a screen at any distance: its frames have no millimetres
    measureFrame: (gray) => enqueue(() => measureGray(gray, null)),
    onFrame: display,
    onEnd: add,
    onError: sayError,
  }));
}

listen();
showPixelSize();
load().catch(sayError);
if (navigator.serviceWorker) navigator.serviceWorker.register("sw.js").catch(() => {
  // without it the page works too, but needs the network at each visit
});
