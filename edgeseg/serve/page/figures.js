/* The figures of a head's outline, as edgeseg/measure/figures.py has them. */
import { ageText, halfWidthHadlock, weeksHadlock, weeksIntergrowth } from "./biometry.js";
import { fixed } from "./rounding.js";

const NAMES = [
  "hc_mm", "hc_low_mm", "hc_high_mm", "bpd_mm", "ofd_mm", "cephalic_index", "area_mm2",
  "ga_weeks_hadlock", "ga_low_weeks_hadlock", "ga_high_weeks_hadlock", "ga_weeks_intergrowth",
  "hc_px", "center_x_px", "center_y_px", "semi_major_px", "semi_minor_px", "angle_rad",
];
const AGES = NAMES.filter((name) => name.startsWith("ga_"));

export function noFigures() {
  return Object.fromEntries(NAMES.map((name) => [name, null]));
}

/* Every figure of an ellipse in pixels; those in mm are of the ellipse in mm. */
export function figuresOf(ellipse, confidence, pixelSize, interval) {
  const figures = {
    ...noFigures(),
    hc_px: ellipses.circumference(ellipse),
    center_x_px: ellipse.centerX,
    center_y_px: ellipse.centerY,
    semi_major_px: ellipse.semiMajor,
    semi_minor_px: ellipse.semiMinor,
    angle_rad: ellipse.angle,
  };
  if (!pixelSize) return figures;
  const inMm = ellipses.scaled(ellipse, pixelSize.xMm, pixelSize.yMm);
  const hcMm = ellipses.circumference(inMm);
  const [bpdMm, ofdMm] = [2 * inMm.semiMinor, 2 * inMm.semiMajor];
  const halfMm = interval ? halfWidthMm(interval, hcMm, confidence) : 0;
  if (interval) {
    Object.assign(figures, { hc_low_mm: Math.max(hcMm - halfMm, 0), hc_high_mm: hcMm + halfMm });
  }
  const weeks = weeksHadlock(hcMm);
  if (weeks !== null) {
    const halfWeeks = halfWidthHadlock(hcMm, halfMm);
    Object.assign(figures, {
      ga_weeks_hadlock: weeks,
      ga_low_weeks_hadlock: weeks - halfWeeks,
      ga_high_weeks_hadlock: weeks + halfWeeks,
    });
  }
  return Object.assign(figures, {
    hc_mm: hcMm,
    bpd_mm: bpdMm,
    ofd_mm: ofdMm,
    cephalic_index: (100 * bpdMm) / ofdMm,
    area_mm2: (Math.PI / 4) * bpdMm * ofdMm,
    ga_weeks_intergrowth: weeksIntergrowth(hcMm),
  });
}

/* Half the interval's width, as edgeseg/network/interval.py has it. */
function halfWidthMm(interval, hcMm, confidence) {
  const grown = interval.offset_mm + interval.cubic_mm * (hcMm / 100) ** 3;
  return Math.max(grown + interval.doubt_mm * (1 - confidence), interval.floor_mm);
}

/* Figures without the ages that follow from HC, as befits a head in doubt. */
export function withoutAges(figures) {
  return { ...figures, ...Object.fromEntries(AGES.map((name) => [name, null])) };
}

/* What a caption says, line by line. */
export function captionLines(figures) {
  const { hc_mm: hcMm, hc_high_mm: highMm, hc_px: hcPx } = figures;
  if (hcMm === null) return [`HC ${fixed(hcPx, 1)} px (no pixel size)`];
  const half = highMm === null ? "" : ` ± ${fixed(highMm - hcMm, 1)}`;
  const age = ageText(figures);
  const line = age.startsWith("none") ? `GA: ${age}` : `GA by HC ${age}`;
  return [`HC ${fixed(hcMm, 1)}${half} mm`, ...(age ? [line] : [])];
}
