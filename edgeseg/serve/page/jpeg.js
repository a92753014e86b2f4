/* What a JPEG file says of itself, and whether its coded pixels are all there; see
   edgeseg/sources/formats/jpeg.py. */
import { lettersAt, viewOf } from "./bytes.js";
import { orientationOf } from "./exif.js";
import { opencvLuma } from "./luma.js";

const NO_FRAMES = [0xc4, 0xc8, 0xcc];
const HUFFMAN = [0xc0, 0xc1, 0xc2], SEQUENTIAL = [0xc0, 0xc1], PROGRESSIVE = 0xc2;
const START_OF_SCAN = 0xda, END = 0xd9, RESTARTS = 0xdd, APP1 = 0xe1, TABLES = 0xc4;
const BETWEEN_SCANS = [TABLES, 0xcc, 0xdb, RESTARTS, START_OF_SCAN, 0xdc, 0xfe];
const JPEG_LS = 0xf7;
const MOST_SCANS = 100, EMPTY_BYTES = 64;
const EXIF = "Exif\0\0";
// What a decoder makes pixels of where it has run out of a file's own.
const MORE = Uint8Array.from({ length: 256 }, (_, i) => 1 + ((137 * i) % 249));
const DAMAGED = "the JPEG is damaged; copy it again";
const INCOMPLETE = "the JPEG is cut short; copy it again";
const NO_SIZE = "the JPEG does not say its size; save it again";

jpegHeader.start = [0xff, 0xd8];
export function jpegHeader(bytes) {
  const reader = new Reader(bytes);
  for (let part; (part = reader.next());) reader.take(part);
  return reader.header();
}

/* Goes through a file's parts, each { marker, start, end } of its contents. */
class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = viewOf(bytes);
    this.at = 2;
    this.parts = [bytes.subarray(0, 2)];
    this.size = null;
    this.exact = new Map(); // component -> its coefficients that are there in full
    this.firstCodes = new Map(); // table of coefficients -> what its code of zeros means
    [this.orientation, this.every, this.scans, this.process] = [0, 0, 0, 0];
  }

  next() {
    const { view } = this;
    while (view.getUint8(this.at) === 0xff && view.getUint8(this.at + 1) === 0xff) this.at++;
    if (view.getUint8(this.at) !== 0xff) throw new Error(DAMAGED);
    const marker = view.getUint8(this.at + 1);
    if (marker === END) return null;
    if (marker === 1 || (marker >= 0xd0 && marker <= 0xd7)) {
      this.at += 2;
      return this.next();
    }
    if (this.size && this.scans && !BETWEEN_SCANS.includes(marker)) throw new Error(DAMAGED);
    const start = this.at + 4, end = this.at + 2 + view.getUint16(this.at + 2);
    return { marker, start, end };
  }

  take({ marker, start, end }) {
    const body = this.bytes.subarray(start, end), view = viewOf(body);
    if (marker === JPEG_LS) throw new Error("JPEG-LS files are not read; save the image as PNG");
    if (isFrame(marker) && !this.size) this.takeFrame(marker, body, view);
    else if (marker === APP1 && lettersAt(body, 0, EXIF.length) === EXIF) {
      this.orientation ||= orientationOf(body.subarray(EXIF.length));
    } else if (marker === RESTARTS) this.every = view.getUint16(0);
    else if (marker === TABLES) this.takeTables(body);
    const from = this.at;
    this.at = end;
    if (marker === START_OF_SCAN) this.takeScan(body, view);
    if (!mayRecolour(marker)) this.parts.push(this.bytes.subarray(from, this.at));
  }

  takeFrame(marker, body, view) {
    this.process = marker;
    this.size = { height: view.getUint16(1), width: view.getUint16(3) };
    for (let i = 6; i < 6 + 3 * view.getUint8(5); i += 3) {
      this.exact.set(view.getUint8(i), new Set());
    }
  }

  /* Note the meaning of the code of zeros in each table of coefficients; 0 ends a block. */
  takeTables(body) {
    for (let i = 0; i + 17 < body.length;) {
      if (body[i] >> 4 === 1) this.firstCodes.set(body[i] & 15, body[i + 17]);
      i += 17 + body.subarray(i + 1, i + 17).reduce((sum, value) => sum + value, 0);
    }
  }

  takeScan(body, view) {
    if (!this.size) throw new Error(NO_SIZE);
    if (++this.scans > MOST_SCANS) {
      throw new Error(`the JPEG has more than ${MOST_SCANS} scans; save the image as PNG`);
    }
    const count = view.getUint8(0), components = [...Array(count).keys()].map((i) => 1 + 2 * i);
    const [first, last, bits] = [1, 2, 3].map((i) => view.getUint8(2 * count + i));
    for (const i of components) {
      const known = this.exact.get(view.getUint8(i));
      if (known && (bits & 15) === 0) for (let k = first; k <= last; k++) known.add(k);
    }
    const start = this.at;
    this.at = scanEnd(this.bytes, start, this.every);
    const isPlain = SEQUENTIAL.includes(this.process) && count === this.exact.size;
    const usesZeros = components.some((i) => this.firstCodes.get(view.getUint8(i + 1) & 15));
    if (isPlain && usesZeros && hasEmptyPart(this.bytes.subarray(start, this.at))) {
      throw new Error("the JPEG is damaged: a part of it is empty; copy it again");
    }
  }

  header() {
    if (!this.size || !this.scans) throw new Error(NO_SIZE);
    const isHuffman = HUFFMAN.includes(this.process);
    if (isHuffman && !this.isComplete()) throw new Error(INCOMPLETE);
    if (this.exact.size > 3) {
      throw new Error(
        "a JPEG of four colours is not read in the browser; measure it with 'edgeseg infer'");
    }
    const rest = this.bytes.subarray(this.at);
    return {
      type: "image/jpeg",
      ...this.size,
      orientation: this.orientation || 1,
      luma: opencvLuma,
      parts: [...this.parts, rest],
      longer: isHuffman ? [...this.parts, MORE, rest] : null,
    };
  }

  /* Whether every component has its coefficients; a file cut short may lack late scans. */
  isComplete() {
    const needed = this.process === PROGRESSIVE ? 64 : 1;
    return this.exact.size > 0 && [...this.exact.values()].every((known) => known.size >= needed);
  }
}

function isFrame(marker) {
  return marker >= 0xc0 && marker <= 0xcf && !NO_FRAMES.includes(marker);
}

/* Whether a part may hold a profile or an orientation: all of applications, but for the two that
   say which colours the pixels are coded in. */
function mayRecolour(marker) {
  return marker > 0xe0 && marker <= 0xef && marker !== 0xee;
}

/* Where the marker behind a scan stands; within, 0xff is escaped by a zero. */
function scanEnd(bytes, start, every) {
  let expected = 0xd0;
  for (let at = bytes.indexOf(0xff, start); at >= 0; at = bytes.indexOf(0xff, at + 1)) {
    const next = bytes[at + 1];
    if (next === undefined) break;
    if (next === 0 || next === 0xff) continue;
    if (next < 0xd0 || next > 0xd7) return at;
    if (!every || next !== expected) throw new Error(DAMAGED);
    expected = 0xd0 + ((expected + 1) % 8);
  }
  throw new Error(INCOMPLETE);
}

/* Whether there is a stretch of zeros, as of a disk that could not be read. */
function hasEmptyPart(bytes) {
  for (let i = EMPTY_BYTES - 1; i < bytes.length; i += EMPTY_BYTES) {
    if (bytes[i]) continue;
    let [first, last] = [i, i];
    while (first > 0 && !bytes[first - 1]) first--;
    while (last + 1 < bytes.length && !bytes[last + 1]) last++;
    if (last - first + 1 >= EMPTY_BYTES) return true;
    i = last; // the next stretch of that length holds a byte so far behind
  }
  return false;
}
