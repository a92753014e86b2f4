/* Kinds of files that are not decoded here, known by their first bytes, and what to do about it. */
import { lettersAt } from "./bytes.js";

const HERE = "PNG, JPEG or BMP";
const OF_INFER = [ // which Python reads
  ["TIFF", /^(?:II[*+]\0|MM\0[*+])/],
  ["DICOM", /^[^]{128}DICM|^[\x02\x08]\0.\0(?:[A-Z]{2}|[^]\0\0\0)/],
  ["PGM or PPM", /^P[2356]\s/],
];
const PICTURE = "save the image as PNG";
const FILM = "save the frame to measure as PNG";
const OTHERS = [
  ["HEIC", /^[^]{4}ftyp(?:hei[cxms]|hevc|mif1|msf1)/, "save the image as PNG or JPEG"],
  ["AVIF", /^[^]{4}ftypavi[fs]/, PICTURE],
  ["QuickTime or MP4 video", /^[^]{4}(?:ftyp|moov|mdat|wide)/, FILM],
  ["GIF", /^GIF8/, PICTURE],
  ["WebP", /^RIFF[^]{4}WEBP/, PICTURE],
  ["AVI video", /^RIFF[^]{4}AVI /, FILM],
  ["JPEG 2000", /^(?:\0\0\0\x0cjP {2}|\xff\x4f\xff\x51)/, PICTURE],
  ["JPEG XL", /^(?:\0\0\0\x0cJXL |\xff\x0a)/, PICTURE],
  ["PDF", /^%PDF/, "save the picture in it as PNG"],
  ["ZIP archive", /^PK\x03\x04/, "unpack it"],
];

/* Throw an Error that says what a file is that begins so. */
export function refuseKind(bytes) {
  const start = lettersAt(bytes, 0, 132);
  const [name, , advice] = [...OF_INFER, ...OTHERS].find(([, mark]) => mark.test(start)) ?? [];
  if (advice) throw new Error(`${name} files are not read; ${advice}`);
  if (name) {
    throw new Error(
      `${name} files are not read in the browser; measure them with 'edgeseg infer'`);
  }
  throw new Error(`this is not a ${HERE} image, whatever its name says`);
}
