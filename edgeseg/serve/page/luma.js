/* Gray of colours, as the decoders behind Python make it: functions of red, green and blue. */

const SIGNIFICANT = 0.05; // departure of a gamma from 1

/* OpenCV's, of BMP; of JPEG libjpeg's is the same but for rounding. */
export function opencvLuma(red, green, blue) {
  return (4899 * red + 9617 * green + 1868 * blue + 8192) >> 14;
}

/* libpng's. Where a file says its gamma, levels are averaged as light; else `gamma` is null. */
export function libpngLuma(gamma) {
  const sum = (red, green, blue) => 9797 * red + 19234 * green + 3737 * blue;
  if (gamma === null || Math.abs(gamma - 1) <= SIGNIFICANT) {
    return (red, green, blue) => sum(red, green, blue) >> 15;
  }
  const light = powers(1 / gamma), levels = powers(gamma);
  return (red, green, blue) => {
    if (red === green && red === blue) return red;
    return levels[(sum(light[red], light[green], light[blue]) + 16384) >> 15];
  };
}

function powers(exponent) {
  return Uint8Array.from({ length: 256 }, (_, level) =>
    Math.floor(255 * (level / 255) ** exponent + 0.5));
}
