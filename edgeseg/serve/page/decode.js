/* An image file as gray values: the browser decodes it and turns it upright, without colour
   management. PNG, JPEG and BMP of 8 bits are read, other files are for 'edgeseg infer'. */

const MIN_SIDE = 32, MAX_PIXELS = 50_000_000, MAX_BYTES = 2 ** 30;
const TILE = 2048; // of the canvas: not every browser has large ones
const OPAQUE = 255, PNG_BIT_DEPTH_AT = 24;
const TYPES = [
  ["image/png", /^\x89PNG\r\n\x1a\n/], ["image/jpeg", /^\xff\xd8\xff/], ["image/bmp", /^BM/],
];

/* Gray values of an image file, upright: { pixels: Uint8Array, width, height }.

   Throws an Error with a message for the user if the file is not read. */
export async function decodeGray(blob) {
  if (blob.size > MAX_BYTES) {
    const size = (blob.size / 1e9).toFixed(1);
    throw new Error(`${size} GB is more than the 1 GB allowed; crop or shrink the image`);
  }
  const head = new Uint8Array(await blob.slice(0, PNG_BIT_DEPTH_AT + 1).arrayBuffer());
  if (!head.length) throw new Error("the file is empty; expected a PNG, JPEG or BMP image");
  const text = String.fromCharCode(...head);
  const [type] = TYPES.find(([, start]) => start.test(text)) ?? [];
  if (!type) {
    throw new Error(
      "this is not a PNG, JPEG or BMP image; 'edgeseg infer' reads DICOM, TIFF and others");
  }
  if (type === "image/png" && head[PNG_BIT_DEPTH_AT] > 8) {
    throw new Error("a PNG of 16 bits is not read in the browser; measure it with 'edgeseg infer'");
  }
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
  const bitmap = await createImageBitmap(new Blob([blob], { type }), options).catch(() => null);
  if (!bitmap) throw new Error("the image is damaged or too large to decode; copy it again");
  try {
    return grayOf(bitmap);
  } finally {
    bitmap.close();
  }
}

/* Gray values of a picture that the browser holds: a bitmap, or a video's frame. */
export function grayOf(source) {
  const width = source.videoWidth ?? source.width, height = source.videoHeight ?? source.height;
  if (width * height > MAX_PIXELS) {
    throw new Error(
      `${width}x${height} pixels is more than the 50 million allowed; crop or shrink the image`);
  }
  if (Math.min(width, height) < MIN_SIDE) {
    throw new Error(`${width}x${height} pixels is too small; each side needs ${MIN_SIDE}`);
  }
  const gray = { pixels: new Uint8Array(width * height), width, height };
  const settings = { willReadFrequently: true, colorSpace: "srgb" };
  const canvas = new OffscreenCanvas(Math.min(TILE, width), Math.min(TILE, height));
  const context = canvas.getContext("2d", settings);
  checkCanvas(context);
  for (let top = 0; top < height; top += TILE) {
    for (let left = 0; left < width; left += TILE) {
      context.clearRect(0, 0, TILE, TILE);
      context.drawImage(source, -left, -top);
      const shown = [Math.min(TILE, width - left), Math.min(TILE, height - top)];
      copyTile(gray, context.getImageData(0, 0, ...shown), left, top);
    }
  }
  return gray;
}

/* Refuse a browser that changes the pixels that pages read from a canvas, against fingerprinting. */
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

function copyTile(gray, { data, width, height }, left, top) {
  for (let y = 0, i = 0; y < height; y++) {
    let at = (top + y) * gray.width + left;
    for (let x = 0; x < width; x++, i += 4) {
      if (data[i + 3] !== OPAQUE) {
        throw new Error(
          "parts of the image are transparent, so its gray values are not defined; flatten it first");
      }
      // as OpenCV weighs red, green and blue
      gray.pixels[at++] = (4899 * data[i] + 9617 * data[i + 1] + 1868 * data[i + 2] + 8192) >> 14;
    }
  }
}
