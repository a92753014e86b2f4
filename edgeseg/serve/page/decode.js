/* An image file as gray values, decoded by the browser and checked as edgeseg/sources/image_file.py
   checks it. What Python reads otherwise than a browser is refused here. */
import { headerOf } from "./header.js";
import { opencvLuma } from "./luma.js";

const LEAST_SIDE = 32, MOST_PIXELS = 50_000_000, MOST_BYTES = 2 ** 30;
const TILE = 2048; // of the canvas: large ones are not to be had everywhere
const OPAQUE = 255, NEARLY_BLACK = 2;
const BLOCK = 16, SPARED_BLOCKS = 6; // of a JPEG; an encoder may save the last bits of a file

/* Gray values of an image file, upright: { pixels: Uint8Array, width, height }.

   Throws an Error with a sentence for people if the file cannot be read rightly. */
export async function decodeGray(blob) {
  if (blob.size > MOST_BYTES) {
    const size = (blob.size / 1e9).toFixed(1);
    throw new Error(`${size} GB is more than the 1 GB allowed; crop or shrink the image`);
  }
  const header = headerOf(new Uint8Array(await blob.arrayBuffer()));
  checkSides(header);
  if (header.frames > 1) {
    throw new Error(
      `the file holds ${header.frames} frames, one was expected; save the one to measure`);
  }
  const gray = await decoded(header.parts, header);
  if (header.longer && mayBeFilledUp(gray)) {
    checkWhole(gray, await decoded(header.longer, header));
  }
  return upright(gray, header.orientation);
}

function checkSides({ width, height }) {
  if (width * height > MOST_PIXELS) {
    throw new Error(
      `${width}x${height} pixels is more than the 50 million allowed; crop or shrink the image`);
  }
  if (Math.min(width, height) < LEAST_SIDE) {
    throw new Error(
      `${width}x${height} pixels is too small; each side needs ${LEAST_SIDE}`);
  }
}

/* Refuse a browser that hides from pages what is on a canvas: its pixels would be made up. */
function checkCanvas(context) {
  const known = context.createImageData(16, 16);
  known.data.forEach((_, i) => (known.data[i] = i % 4 === 3 ? OPAQUE : i >> 2));
  context.putImageData(known, 0, 0);
  const read = context.getImageData(0, 0, 16, 16).data;
  if (read.some((value, i) => value !== known.data[i])) {
    throw new Error(
      "this browser changes the pixels that a page reads, so that it is not recognised; allow " +
      "this page to read them, or measure with 'edgeseg infer'");
  }
}

/* Decode a file given in parts, without colour management and not turned. */
async function decoded(parts, { type, width, height, luma }) {
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
  const bitmap = await createImageBitmap(new Blob(parts, { type }), options).catch(() => null);
  try {
    if (bitmap?.width !== width || bitmap.height !== height) {
      throw new Error("the pixels cannot be decoded: damaged or of a rare kind");
    }
    return grayOf(bitmap, luma);
  } finally {
    bitmap?.close();
  }
}

/* Gray values of a picture that the browser holds: a bitmap, or a video's frame. */
export function grayOf(source, luma = opencvLuma) {
  const width = source.videoWidth ?? source.width, height = source.videoHeight ?? source.height;
  checkSides({ width, height });
  const gray = { pixels: new Uint8Array(width * height), width, height };
  const tileWidth = Math.min(TILE, width), tileHeight = Math.min(TILE, height);
  const context = contextOf(tileWidth, tileHeight);
  checkCanvas(context);
  for (let top = 0; top < height; top += tileHeight) {
    for (let left = 0; left < width; left += tileWidth) {
      context.clearRect(0, 0, tileWidth, tileHeight);
      context.drawImage(source, -left, -top);
      const shown = [Math.min(tileWidth, width - left), Math.min(tileHeight, height - top)];
      addTile(gray, context.getImageData(0, 0, ...shown), left, top, luma);
    }
  }
  return gray;
}

function contextOf(width, height) {
  const settings = { willReadFrequently: true, colorSpace: "srgb" };
  return new OffscreenCanvas(width, height).getContext("2d", settings);
}

function addTile(gray, { data, width, height }, left, top, luma) {
  for (let y = 0, i = 0; y < height; y++) {
    let at = (top + y) * gray.width + left;
    for (let x = 0; x < width; x++, i += 4) {
      if (data[i + 3] !== OPAQUE) {
        throw new Error(
          "parts of the image are transparent, so its gray values are not defined; flatten it " +
          "first");
      }
      gray.pixels[at++] = luma(data[i], data[i + 1], data[i + 2]);
    }
  }
}

/* Whether the last corner is flat and not black, as where a decoder has run out of pixels. */
function mayBeFilledUp({ pixels, width, height }) {
  const first = pixels[width * height - 1];
  if (first <= NEARLY_BLACK || first >= OPAQUE - NEARLY_BLACK) return false;
  for (let y = height - BLOCK / 2; y < height; y++) {
    for (let x = width - BLOCK / 2; x < width; x++) {
      if (pixels[y * width + x] !== first) return false;
    }
  }
  return true;
}

/* Refuse a JPEG that more bytes behind its pixels would have changed: its own had ended early. */
function checkWhole({ pixels, width, height }, longer) {
  const lastRow = Math.floor((height - 1) / BLOCK) * BLOCK - 2;
  const lastColumn = Math.max(0, width - SPARED_BLOCKS * BLOCK);
  for (let i = 0; i < pixels.length; i++) {
    if (pixels[i] === longer.pixels[i]) continue;
    if (i < lastRow * width || i % width < lastColumn) {
      throw new Error("the JPEG is damaged: a part of its pixels is missing; copy it again");
    }
  }
}

/* An image turned as EXIF's orientation, 1 to 8, says. */
function upright(gray, orientation) {
  if (orientation === 1) return gray;
  const isAcross = orientation >= 5; // rows are columns
  const width = isAcross ? gray.height : gray.width, height = isAcross ? gray.width : gray.height;
  const mirrored = [2, 3, 6, 7].includes(orientation);
  const upsideDown = [3, 4, 7, 8].includes(orientation);
  const pixels = new Uint8Array(width * height);
  for (let y = 0, at = 0; y < height; y++) {
    const row = upsideDown ? height - 1 - y : y;
    for (let x = 0; x < width; x++) {
      const column = mirrored ? width - 1 - x : x;
      pixels[at++] = gray.pixels[isAcross ? column * gray.width + row : row * gray.width + column];
    }
  }
  return { pixels, width, height };
}
