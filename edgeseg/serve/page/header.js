/* What an image file says of itself, read before it is decoded: { type, width, height, frames,
   orientation, luma, parts, longer }.

   `parts` make the file again, without what would have a browser turn or recolour it; `longer`
   makes a JPEG with more bytes behind its pixels; `luma` is how Python's decoder makes gray of
   colours. */
import { bmpHeader } from "./bmp.js";
import { jpegHeader } from "./jpeg.js";
import { refuseKind } from "./kinds.js";
import { pngHeader } from "./png.js";

/* Throws an Error with a sentence if it is empty, of another kind, cut short or damaged. */
export function headerOf(bytes) {
  if (!bytes.length) throw new Error("the file is empty; expected a PNG, JPEG or BMP image");
  const parse = [pngHeader, jpegHeader, bmpHeader].find(({ start }) =>
    start.every((value, i) => bytes[i] === value));
  if (!parse) refuseKind(bytes);
  try {
    return { frames: 1, orientation: 1, ...parse(bytes) };
  } catch (error) {
    // read beyond its end
    if (!(error instanceof RangeError)) throw error;
    throw new Error("the file is cut short or damaged; copy it again");
  }
}
