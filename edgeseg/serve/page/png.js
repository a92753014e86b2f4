/* What a PNG file says of itself, and whether it is whole; see edgeseg/sources/formats/png.py. */
import { lettersAt, viewOf } from "./bytes.js";
import { orientationOf } from "./exif.js";
import { libpngLuma } from "./luma.js";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const GRAY = 0;
const SAMPLES = { 2: 3, 4: 2, 6: 4 }; // of colour types; others have one
const SPARED_BYTES = 1 << 16;
// All that makes pixels. Profiles would recolour them; Python's decoder heeds them in luma alone.
const OF_PIXELS = ["IHDR", "PLTE", "tRNS", "IDAT", "IEND"];
const SRGB_GAMMA = 45455; // of 100000, as gAMA counts
const CHECKSUMS = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

pngHeader.start = SIGNATURE;
export function pngHeader(bytes) {
  const found = { type: "image/png", parts: [bytes.subarray(0, SIGNATURE.length)] };
  let [packed, ended, size, gamma] = [0, false, null, null];
  for (const { kind, start, end } of chunks(bytes)) {
    if (size === null && kind !== "IHDR") break;
    checkSum(bytes, kind, start, end);
    if (kind === "IHDR") size = viewOf(bytes.subarray(start, end));
    // a shade of gray called transparent keeps its value
    const isIdle = kind === "tRNS" && size.getUint8(9) === GRAY;
    if (OF_PIXELS.includes(kind) && !isIdle) found.parts.push(bytes.subarray(start - 8, end + 4));
    if (kind === "gAMA") gamma ??= viewOf(bytes).getUint32(start) / 100000;
    if (kind === "sRGB") gamma = SRGB_GAMMA / 100000;
    if (kind === "acTL") found.frames = viewOf(bytes).getUint32(start);
    if (kind === "eXIf") found.orientation = orientationOf(bytes.subarray(start, end));
    if (kind === "IDAT") packed += end - start;
    if (kind === "IEND") ended = true;
  }
  if (size === null && bytes.length > 64) {
    throw new Error("the PNG does not begin with its size; save it again");
  }
  if (size === null || !ended) throw new Error("the PNG is cut short; copy it again");
  const [width, height] = [size.getUint32(0), size.getUint32(4)];
  Object.assign(found, { width, height, luma: libpngLuma(gamma) });
  checkPixels(found, size.getUint8(8), size.getUint8(9), packed);
  return found;
}

function checkPixels({ width, height }, bits, colour, packed) {
  if (bits > 8) {
    throw new Error("a PNG of 16 bits is not read in the browser; measure it with 'edgeseg infer'");
  }
  const row = 1 + Math.floor((width * bits * (SAMPLES[colour] ?? 1) + 7) / 8);
  if (packed > 2 * height * row + SPARED_BYTES) {
    throw new Error("the PNG holds more than its pixels; save it again");
  }
}

/* { kind, start, end } of the contents of each chunk up to IEND. */
function* chunks(bytes) {
  const view = viewOf(bytes);
  for (let at = SIGNATURE.length; at + 12 <= bytes.length;) {
    const start = at + 8, end = start + view.getUint32(at), kind = lettersAt(bytes, at + 4, at + 8);
    if (end + 4 > bytes.length) return;
    yield { kind, start, end };
    if (kind === "IEND") return;
    at = end + 4;
  }
}

function checkSum(bytes, kind, start, end) {
  let sum = 0xffffffff;
  for (let i = start - 4; i < end; i++) sum = CHECKSUMS[(sum ^ bytes[i]) & 255] ^ (sum >>> 8);
  if (~sum >>> 0 === viewOf(bytes).getUint32(end)) return;
  throw new Error(
    `the PNG is damaged (its part '${kind}' has another checksum than it says); ` +
    "copy it again");
}
