/* The page: images in, figures out, all on this device. */
import { decodeGray, grayOf } from "./decode.js";
import { drawMeasured } from "./drawing.js";
import { measure } from "./measure.js";
import { fetchChecked, fetchPacked, openNetwork } from "./network.js";
import {
  confirmPixelSize, enterPixelSize, pixelSizeFor, readPixelSize, showPixelSize, sizeText,
} from "./pixel_size.js";
import { isSettingScale, startScale, stopScale } from "./scale.js";

const WORDS = { ok: "✓ ok", doubtful: "? doubtful", empty: "○ nothing", failed: "✗ failed" };
const CONFIDENCE_DECIMALS = 4;
const measured = []; // of this visit: what measureFile returns, and a button each
let shown = null, model = null, network = null, isSaved = true;
let queue = Promise.resolve();

function say(text, isWrong = false) {
  byId("state").textContent = visible(text);
  byId("state").classList.toggle("wrong", isWrong);
}

const sayError = (error) => say(error.message, true);
const sayReady = () => say(`Ready: ${measured.length} measured in this visit.`);

async function load() {
  if (!("WebAssembly" in window && "DecompressionStream" in window && "OffscreenCanvas" in window)) {
    throw new Error("this browser is too old: it lacks WebAssembly or DecompressionStream; update it");
  }
  const [described, bytes, wasm] = await Promise.all([
    fetchChecked("model.json").then((response) => response.json()),
    fetchChecked("model.onnx").then((response) => response.arrayBuffer()),
    fetchPacked("vendor/ort-wasm-simd-threaded.wasm.gz"),
  ]);
  model = described;
  network = await openNetwork(new Uint8Array(bytes), wasm, model);
  WORDS.empty = `○ ${model.nothing}`;
  document.querySelector("h1").textContent = document.title = visible(model.title);
  byId("example").hidden = model.task !== "head"; // which it shows
  byId("intended").textContent = model.intended_use;
  byId("controls").hidden = byId("pixel-size").hidden = false;
  byId("camera").hidden = !navigator.mediaDevices?.getUserMedia;
  say(`Ready: ${model.name}, on this device.`);
  document.body.dataset.ready = "true";
}

/* Run a task once those before it have ended: one image is measured at a time. */
function enqueue(task) {
  const run = queue.then(task);
  queue = run.catch(() => {});
  return run;
}

async function measureGray(gray, pixelSize) {
  return { gray, pixelSize, prediction: await measure(gray, pixelSize, network, model) };
}

/* Measure an image file with a pixel size that its gray values may decide. */
async function measureFile(file, sizeFor) {
  try {
    const gray = await decodeGray(file);
    return { name: file.name, ...await measureGray(gray, sizeFor(gray)) };
  } catch (error) {
    const prediction = { status: "failed", reason: error.message, flags: [], figures: {}, lines: [] };
    return { name: file.name, gray: null, pixelSize: null, prediction };
  }
}

/* Measure files one after another; each is shown as soon as it is measured. */
function measureFiles(files) {
  if (!network || !files.length) return;
  const all = [...files];
  enqueue(async () => {
    readPixelSize(); // what is wrong is refused
    for (const [i, file] of all.entries()) {
      say(`Measuring ${i + 1} of ${all.length}…`);
      add({ takesPixelSize: true, ...await measureFile(file, pixelSizeFor) });
    }
    sayReady();
  }).catch(sayError);
}

/* Measure the image that is shown with the pixel size in the field as it is by then. */
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

/* Take another pixel size, for the image that is shown too; see enterPixelSize. */
function changePixelSize(text, from) {
  enterPixelSize(canTakePixelSize(shown) ? shown.gray : null, text, from);
  measureAgain();
}

/* Let the user set the pixel size by the ruler in the image that is shown. */
function setScale() {
  const result = shown;
  drawMeasured(byId("picture"), result.gray, {}, null, 1, []);
  byId("result").scrollIntoView();
  startScale((mm) => {
    display(result);
    if (mm) changePixelSize(+mm.toPrecision(4), result.name);
    byId("set-scale").focus({ preventScroll: true });
  });
}

/* Whether the pixel size in the field is for a result: not for the example or a camera's frame. */
function canTakePixelSize(result) {
  return Boolean(result?.takesPixelSize && result.gray);
}

function add(result) {
  result.button = make("button", { type: "button" });
  result.button.addEventListener("click", () => {
    display(result);
    byId("result").scrollIntoView();
  });
  measured.push(result);
  describe(result);
  byId("measured").append(make("li", {}, result.button));
  if (!isSettingScale()) display(result);
}

/* Describe a result in the list, which now holds more than what was saved. */
function describe({ button, name, prediction: { status, lines, reason } }) {
  isSaved = false;
  button.textContent = visible(`${WORDS[status]} · ${name}: ${lines[0] ?? reason}`);
  button.className = status;
}

/* Show a result: its picture, figures and doubts. */
function display(result) {
  const { name, gray, pixelSize, prediction } = result;
  const { status, reason, flags, lines } = prediction;
  shown = result;
  stopScale();
  for (const { button } of measured) button.setAttribute("aria-current", button === result.button);
  byId("result").hidden = byId("details").hidden = false;
  byId("picture-box").hidden = byId("save-picture").hidden = !gray;
  if (gray) {
    const canvas = byId("picture");
    const box = Math.min(byId("picture-box").clientWidth || gray.width, gray.width);
    drawMeasured(canvas, gray, prediction, pixelSize, gray.width / box, colours());
    canvas.setAttribute("aria-label", `${visible(name)}: ${lines[0] ?? reason}`);
  }
  byId("figure").textContent = lines[0] ?? "";
  byId("verdict").textContent = WORDS[status] + (flags.length ? ": check it before use" : "");
  byId("verdict").className = status;
  byId("doubts").replaceChildren(...doubtsOf(prediction).map((text) => make("li", {}, text)));
  byId("figures").replaceChildren(...details(result));
  byId("set-scale").hidden = !canTakePixelSize(result);
  showPixelSize(canTakePixelSize(result) && !pixelSize ? gray : null);
}

const colours = () => model.structures.map(({ colour }) => colour);

function doubtsOf({ flags, reason }) {
  return flags.length ? flags.map((flag) => model.flags[flag]) : reason ? [reason] : [];
}

function details({ name, pixelSize, prediction }) {
  const { figures, lines, confidence } = prediction;
  const ages = model.task === "head" ? lines.slice(1) : [];
  const entries = [["image", name], ...ages.map((line) => ["age", line])];
  for (const { name: column, title, decimals } of model.columns) {
    const value = figures[column] ?? null, isOfImage = /\((mm²?|px|pieces)\)$/.test(title);
    if (isOfImage && value !== null) entries.push([title, value.toFixed(Math.min(decimals, 1))]);
  }
  if (confidence) entries.push(["confidence", confidence.toFixed(2)]);
  entries.push(["pixel size", sizeText(pixelSize)]);
  return entries.flatMap(([title, text]) => [make("dt", {}, title), make("dd", {}, text)]);
}

/* The table of results of this visit, with the columns of `edgeseg infer`, those of times empty. */
function tableText() {
  return csvText([model.columns.map(({ name }) => name), ...measured.map(tableCells)]);
}

function tableCells({ name, pixelSize, prediction }) {
  const { status, reason, flags, confidence, figures } = prediction;
  const others = {
    file: cellText(name), status, reason: cellText(reason), flags: flags.join(";"),
    confidence: confidence?.toFixed(CONFIDENCE_DECIMALS), pixel_size_source: pixelSize?.source,
    pixel_size_x_mm: pixelSize?.xMm, pixel_size_y_mm: pixelSize?.yMm,
  };
  return model.columns.map((column) =>
    (column.decimals === null ? others[column.name] : figures[column.name]?.toFixed(column.decimals)) ?? "");
}

async function savePicture() {
  const { name, gray, pixelSize, prediction } = shown;
  const canvas = make("canvas"), scale = Math.max(Math.sqrt(gray.width * gray.height) / 657, 0.5);
  drawMeasured(canvas, gray, prediction, pixelSize, scale, colours(), [
    ...prediction.lines.map((text) => [text]),
    ...doubtsOf(prediction).map((text) => [`${WORDS[prediction.status]}: ${text}`, true]),
    [`Pixel size: ${sizeText(pixelSize)}`], [model.intended_use],
  ]);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  saveFile(blob, `${name.replace(/\.[^.]*$/, "")}-measured.png`);
}

/* Measure the example with its own pixel size; that in the field is for the user's images. */
async function tryExample() {
  const { name, pixel_size_mm: mm } = await (await fetchChecked("example.json")).json();
  const file = new File([await (await fetchChecked(name)).blob()], name);
  await enqueue(async () => {
    say("Measuring the example…");
    add(await measureFile(file, () => ({ xMm: mm, yMm: mm, source: "option", origin: "example" })));
    sayReady();
  });
}

/* Measure the camera's frames, one at a time, until it is stopped; the last one stays as a result.

   A camera sees a screen at any distance: its frames have no millimetres. */
async function runCamera() {
  const video = byId("video");
  if (video.srcObject) return stopCamera();
  let last = null;
  try {
    const wanted = { video: { facingMode: "environment" } };
    video.srcObject = await navigator.mediaDevices.getUserMedia(wanted);
    await video.play();
    byId("camera").textContent = "Stop";
    while (video.srcObject) {
      last = { name: "camera", ...await enqueue(() => measureGray(grayOf(video), null)) };
      if (video.srcObject) display(last);
      await new Promise(requestAnimationFrame);
    }
  } catch (error) {
    say(video.srcObject ? error.message : `the camera cannot be used: ${error.message}`, true);
  }
  stopCamera();
  const time = new Date().toISOString().slice(0, 19).replaceAll(":", "");
  if (last) add({ ...last, name: `camera ${time}` });
}

function stopCamera() {
  const video = byId("video");
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  byId("camera").textContent = "Camera";
}

function listen() {
  onClick({
    "example": () => tryExample().catch(sayError), "save-picture": savePicture,
    "camera": runCamera,
    "save-table": () => {
      saveFile(new Blob([tableText()], { type: "text/csv" }), "results.csv");
      isSaved = true;
    },
    "confirm": () => {
      confirmPixelSize(shown.gray);
      measureAgain();
    },
    "set-scale": setScale,
    "remove-size": () => changePixelSize(""),
  });
  byId("files").addEventListener("change", ({ target }) => {
    measureFiles(target.files);
    target.value = "";
  });
  byId("pixel-size").addEventListener("input", () => changePixelSize());
  addEventListener("beforeunload", (event) => {
    if (!isSaved) event.preventDefault();
  });
  document.addEventListener("paste", ({ clipboardData }) => measureFiles(clipboardData.files));
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      if (name !== "dragleave" || !event.relatedTarget) {
        document.body.classList.toggle("over", name === "dragover");
      }
      if (name === "drop") measureFiles(event.dataTransfer.files);
    });
  }
}

listen();
showPixelSize();
load().catch(sayError);
if (navigator.serviceWorker) navigator.serviceWorker.register("sw.js").catch(() => {
  // without it the page works too, but needs the network at each visit
});
