/* The orientation that EXIF data say; browsers differ in what they make of broken ones, so they are
   read here, and left out of what a browser decodes. */
import { viewOf } from "./bytes.js";

const ORIENTATION = 0x0112;
const INTEGERS = { 3: 2, 4: 4 }; // bytes of TIFF's types SHORT and LONG

/* 1 to 8, of data from their byte order on; 1 if they are broken. */
export function orientationOf(exif) {
  const isLittle = { "73,73,42,0": true, "77,77,0,42": false }[exif.subarray(0, 4).join()];
  if (isLittle === undefined) return 1;
  try {
    const value = orientationIn(viewOf(exif), isLittle);
    return value >= 1 && value <= 8 ? value : 1;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return 1;
  }
}

function orientationIn(view, isLittle) {
  const start = view.getUint32(4, isLittle);
  const count = view.getUint16(start, isLittle);
  for (let field = start + 2; field < start + 2 + 12 * count; field += 12) {
    const tag = view.getUint16(field, isLittle), type = view.getUint16(field + 2, isLittle);
    const values = view.getUint32(field + 4, isLittle), size = INTEGERS[type];
    if (tag !== ORIENTATION || !size || values < 1) continue;
    const at = size * values > 4 ? view.getUint32(field + 8, isLittle) : field + 8;
    return size === 2 ? view.getUint16(at, isLittle) : view.getUint32(at, isLittle);
  }
  return 1;
}
