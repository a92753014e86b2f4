/* What a BMP file says of itself; see edgeseg/sources/formats/bmp.py. */
import { viewOf } from "./bytes.js";
import { opencvLuma } from "./luma.js";

const HEADER_BYTES = [40, 52, 56, 108, 124];
const BITS = { 0: [1, 4, 8, 16, 24, 32], 1: [8], 2: [4], 3: [16, 32] }; // by compression
const READ_ALIKE = [1, 4, 8, 24, 32]; // uncompressed; decoders differ in the others
const FILE_HEADER_BYTES = 14;

bmpHeader.start = [0x42, 0x4d];
export function bmpHeader(bytes) {
  const view = viewOf(bytes), number = (at) => view.getUint32(at, true);
  const width = view.getInt32(18, true), height = Math.abs(view.getInt32(22, true));
  const planes = view.getUint16(26, true), bits = view.getUint16(28, true);
  const [fileBytes, offset, headerBytes, compression] = [2, 10, 14, 30].map(number);
  if (!HEADER_BYTES.includes(headerBytes) || width <= 0 || height === 0) {
    throw new Error("this kind of BMP is not read; save the image as PNG");
  }
  if (planes !== 1 || !BITS[compression]?.includes(bits)) {
    throw new Error(
      `BMP of ${bits} bits, compression ${compression}, is not read; save the image as PNG`);
  }
  const isPacked = compression === 1 || compression === 2;
  const pixelBytes = isPacked ? 0 : Math.ceil((width * bits) / 32) * 4 * height;
  if (bytes.length < Math.max(fileBytes, offset + pixelBytes)) {
    throw new Error("the BMP is cut short; copy it again");
  }
  checkPalette(offset, headerBytes, bits, number(46));
  if (compression || !READ_ALIKE.includes(bits)) {
    throw new Error(
      `BMP of ${bits} bits, compression ${compression}, is not read in the browser; measure it ` +
      "with 'edgeseg infer'");
  }
  return { type: "image/bmp", width, height, luma: opencvLuma, parts: [bytes] };
}

function checkPalette(offset, headerBytes, bits, count) {
  const paletteBytes = bits <= 8 ? 4 * (count || 2 ** bits) : 0;
  if (count > 256 || offset < FILE_HEADER_BYTES + headerBytes + paletteBytes) {
    throw new Error("the BMP's header is damaged; save the image as PNG");
  }
}
