/* Image files to gray values, as edgeseg/sources/image_file.py has it where a browser can. */

const LEAST_SIDE_PX = 32, MOST_PX = 50_000_000, MOST_BYTES = 1 << 30;
const RED = 4899, GREEN = 9617, BLUE = 1868, HALF = 8192, BITS = 14; // luma in fixed point

/* Decode a file: { pixels: Uint8Array, width, height }; throws a sentence. */
export async function decodeGray(file) {
  if (!file.size) throw new Error("the file is empty");
  if (file.size > MOST_BYTES) throw new Error("the file has more than 1 GB; crop or shrink the image");
  checkKind(new Uint8Array(await file.slice(0, 4096).arrayBuffer()));
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, options);
  } catch {
    throw new Error("the pixels cannot be decoded: damaged or of a rare kind");
  }
  try {
    return grayOf(bitmap);
  } finally {
    bitmap.close();
  }
}

/* Gray values of a picture that the browser holds: a bitmap, or a video's frame. */
export function grayOf(source) {
  const width = source.videoWidth ?? source.width, height = source.videoHeight ?? source.height;
  checkSides(width, height);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(source, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const pixels = new Uint8Array(width * height);
  for (let i = 0, j = 0; i < pixels.length; i++, j += 4) {
    if (data[j + 3] !== 255) {
      throw new Error(
        "parts of the image are transparent, so its gray values are not defined; flatten it first",
      );
    }
    pixels[i] = (data[j] * RED + data[j + 1] * GREEN + data[j + 2] * BLUE + HALF) >> BITS;
  }
  return { pixels, width, height };
}

function checkSides(width, height) {
  if (Math.min(width, height) < LEAST_SIDE_PX) {
    throw new Error(
      `the image has ${width}x${height} pixels; each side must be at least ${LEAST_SIDE_PX}`,
    );
  }
  if (width * height > MOST_PX) {
    throw new Error(`the image has ${width}x${height} pixels, more than 50 million; shrink it`);
  }
}

/* Refuse by its first bytes what a browser would read otherwise than edgeseg, or not at all. */
function checkKind(bytes) {
  const begins = (text, at = 0) => [...text].every((sign, i) => bytes[at + i] === sign.charCodeAt(0));
  const isPng = begins("\x89PNG"), isJpeg = begins("\xff\xd8\xff"), isBmp = begins("BM");
  if (isPng && bytes[24] === 16) {
    throw new Error("this page reads PNG of 8 bits; edgeseg infer reads those of 16");
  }
  if (isPng && new TextDecoder("latin1").decode(bytes).includes("acTL")) {
    throw new Error("the file is animated; save the frame to measure");
  }
  if (isPng || isJpeg || isBmp) return;
  const isDicom = begins("DICM", 128), isTiff = begins("II*") || begins("MM\0*");
  const kind = isDicom ? "a DICOM file" : isTiff ? "a TIFF file" : "no PNG, JPEG or BMP file";
  const other = isDicom || isTiff ? "; edgeseg infer reads it" : "; save the image as PNG";
  throw new Error(`this is ${kind}${other}`);
}
