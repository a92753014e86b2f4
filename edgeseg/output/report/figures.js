"use strict";

/* Of the report and of the page that measures. */

/* An ellipse in an image, in the coordinates and by the formulas of edgeseg/measure/ellipse.py:
   points (x, y) in pixels, (0, 0) the centre of the top-left pixel, y down. */
const ellipses = {
  /* Its fields, and their columns in tables. */
  fields: [
    ["centerX", "center_x_px"], ["centerY", "center_y_px"], ["semiMajor", "semi_major_px"],
    ["semiMinor", "semi_minor_px"], ["angle", "angle_rad"],
  ],

  /* Its figures by column. */
  figures: (ellipse) =>
    Object.fromEntries(ellipses.fields.map(([field, column]) => [column, ellipse[field]])),

  /* Circumference, by Ramanujan's second approximation. */
  circumference({ semiMajor, semiMinor }) {
    const h = ((semiMajor - semiMinor) / (semiMajor + semiMinor)) ** 2;
    return Math.PI * (semiMajor + semiMinor) * (1 + (3 * h) / (10 + Math.sqrt(4 - 3 * h)));
  },

  /* The image of an ellipse under (x, y) -> (a x + b y + s, c x + d y + t), an ellipse again. */
  transformed(ellipse, [a, b, s], [c, d, t]) {
    const cos = Math.cos(ellipse.angle), sin = Math.sin(ellipse.angle);
    const { centerX, centerY, semiMajor, semiMinor } = ellipse;
    const e = semiMajor * (a * cos + b * sin), f = semiMinor * (b * cos - a * sin);
    const g = semiMajor * (c * cos + d * sin), h = semiMinor * (d * cos - c * sin);
    const xx = e * e + f * f, xy = e * g + f * h, yy = g * g + h * h;
    const longer = Math.sqrt((xx + yy) / 2 + Math.hypot((xx - yy) / 2, xy));
    return {
      centerX: a * centerX + b * centerY + s,
      centerY: c * centerX + d * centerY + t,
      semiMajor: longer,
      semiMinor: Math.abs(e * h - f * g) / longer,
      angle: ((Math.atan2(2 * xy, xx - yy) + 2 * Math.PI) / 2) % Math.PI,
    };
  },

  /* The ellipse with its coordinates multiplied, as from pixels to millimetres. */
  scaled(ellipse, x, y) {
    return ellipses.transformed(ellipse, [x, 0, 0], [0, y, 0]);
  },

  /* So many points [x, y] on the outline, from the end of the major axis on. */
  points({ centerX, centerY, semiMajor, semiMinor, angle }, count) {
    const cos = Math.cos(angle), sin = Math.sin(angle);
    return Array.from({ length: count }, (_, i) => {
      const t = (2 * Math.PI * i) / count;
      const u = semiMajor * Math.cos(t), v = semiMinor * Math.sin(t);
      return [centerX + u * cos - v * sin, centerY + u * sin + v * cos];
    });
  },
};

/* The figures of a head, computed from its ellipse, and their texts, as in edgeseg/measure/figures.py. */
const headFigures = (() => {
  const NAMES = [
    "hc_mm", "hc_low_mm", "hc_high_mm", "bpd_mm", "ofd_mm", "cephalic_index", "area_mm2",
    "ga_weeks_hadlock", "ga_low_weeks_hadlock", "ga_high_weeks_hadlock", "ga_weeks_intergrowth",
    "hc_px", ...ellipses.fields.map(([, column]) => column),
  ];
  const HADLOCK_MM = [68, 360], INTERGROWTH_WEEKS = [14, 40], LATE_WEEKS = 36;
  const HADLOCK_TWO_SD_WEEKS = [[144, 1.19], [219, 1.48], [280, 2.06], [325, 2.98], [360, 3.2]];

  /* The figures of an image without a head. */
  const none = () => Object.fromEntries(NAMES.map((name) => [name, null]));

  /* Every figure of an ellipse in pixels. Without a pixel size those in mm and weeks are null, without
     an interval HC has no range. `calibration` is { factor, shiftMm } of a site, for ellipses that
     people drew, which have no interval. With an age in weeks, known otherwise, there are centiles. */
  function measure(ellipse, given) {
    const { pixelSize, confidence = 0, interval = null, calibration = null, weeks = null } = given;
    const px = ellipses.circumference(ellipse);
    const figures = { ...none(), hc_px: px, ...ellipses.figures(ellipse) };
    if (!pixelSize) return figures;
    const { factor, shiftMm } = calibration ?? { factor: 1, shiftMm: 0 };
    const calibrated = (mm, shift) => Math.max(factor * mm + shift, mm / 10);
    const inMm = ellipses.scaled(ellipse, pixelSize.xMm, pixelSize.yMm);
    const hcMm = calibrated(ellipses.circumference(inMm), shiftMm);
    const [bpdMm, ofdMm] = [2 * inMm.semiMinor, 2 * inMm.semiMajor]
      .map((mm) => calibrated(mm, shiftMm / Math.PI));
    const halfMm = interval ? halfWidthMm(interval, hcMm, confidence) : 0;
    return Object.assign(figures, {
      ...(interval && { hc_low_mm: Math.max(hcMm - halfMm, 0), hc_high_mm: hcMm + halfMm }),
      ...hadlock(hcMm, halfMm),
      hc_mm: hcMm,
      bpd_mm: bpdMm,
      ofd_mm: ofdMm,
      cephalic_index: (100 * bpdMm) / ofdMm,
      area_mm2: (Math.PI / 4) * bpdMm * ofdMm,
      ga_weeks_intergrowth: weeksIntergrowth(hcMm),
      ...(weeks !== null && {
        hc_centile_intergrowth: centile("hc", hcMm, weeks),
        bpd_centile_intergrowth: centile("bpd", bpdMm, weeks),
        ofd_centile_intergrowth: centile("ofd", ofdMm, weeks),
      }),
    });
  }

  /* Half the interval's width, as edgeseg/network/task.py has it. */
  function halfWidthMm(interval, hcMm, confidence) {
    const grown = interval.offset_mm + interval.cubic_mm * (hcMm / 100) ** 3;
    return Math.max(grown + interval.doubt_mm * (1 - confidence), interval.floor_mm);
  }

  /* Age by Hadlock et al. 1984, from 68 to 360 mm, with its interval: two standard deviations of the
     method, and the half width of HC. */
  function hadlock(hcMm, halfMm) {
    if (hcMm < HADLOCK_MM[0] || hcMm > HADLOCK_MM[1]) return {};
    const cm = hcMm / 10, weeks = 8.96 + 0.54 * cm + 0.0003 * cm ** 3;
    const [, twoSd] = HADLOCK_TWO_SD_WEEKS.find(([high]) => hcMm <= high);
    const half = Math.hypot(twoSd, ((0.54 + 3 * 0.0003 * cm ** 2) / 10) * halfMm);
    return {
      ga_weeks_hadlock: weeks,
      ga_low_weeks_hadlock: weeks - half,
      ga_high_weeks_hadlock: weeks + half,
    };
  }

  /* INTERGROWTH-21st (doi:10.1002/uog.15894); null outside 14 to 40 weeks. */
  function weeksIntergrowth(hcMm) {
    if (hcMm < 20 || hcMm > 1000) return null;
    const weeks = Math.exp(0.0597 * Math.log(hcMm) ** 2 + 6.409e-9 * hcMm ** 3 + 3.3258) / 7;
    return weeks >= INTERGROWTH_WEEKS[0] && weeks <= INTERGROWTH_WEEKS[1] ? weeks : null;
  }

  /* Mean and SD in mm of the heads of an age in weeks, as figures.py has them and their source. */
  function expected(name, weeks) {
    const log = Math.log(weeks), square = weeks ** 2, cubic = weeks ** 3;
    if (name === "hc") {
      const mean = -28.2849 + 1.69267 * square - 0.397485 * square * log;
      return [mean, 1.98735 + cubic * (0.0136772 - 0.00726264 * log + 0.000976253 * log ** 2)];
    }
    if (name === "bpd") {
      const spread = 0.00150557 - 0.000771535 * log + 0.0000999638 * log ** 2;
      return [5.60878 + 0.158369 * square - 0.00256379 * cubic, Math.exp(0.101242 + cubic * spread)];
    }
    const spread = 0.0631165 - 0.0317136 * log + 0.00408302 * log ** 2;
    return [-12.4097 + square * (0.626342 - 0.148075 * log), Math.exp(-0.880034 + square * spread)];
  }

  /* The centile for an age in weeks; null outside 14 to 40. */
  function centile(name, mm, weeks) {
    if (weeks < INTERGROWTH_WEEKS[0] || weeks > INTERGROWTH_WEEKS[1]) return null;
    const [mean, sd] = expected(name, weeks), z = (mm - mean) / sd;
    // the error function by Abramowitz and Stegun 7.1.26, within 1.5e-7
    const t = 1 / (1 + 0.3275911 * Math.abs(z) * Math.SQRT1_2);
    const tail = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592]
      .reduce((sum, factor) => (sum + factor) * t, 0) * Math.exp(-(z ** 2) / 2);
    return z < 0 ? 50 * tail : 100 - 50 * tail;
  }

  /* The figures without ages: none is derived from an HC that is doubtful. */
  function dropAges(figures) {
    const entries = Object.entries(figures);
    return Object.fromEntries(entries.map(([name, v]) => [name, name.startsWith("ga_") ? null : v]));
  }

  /* A figure as people read it; empty where there is none. */
  function text(name, figures) {
    const value = figures[name] ?? null, hcMm = figures.hc_mm;
    if (name === "ga_weeks_hadlock") return ageHadlock(figures);
    if (name.endsWith("_centile_intergrowth")) return centileText(value);
    if (name === "ga_weeks_intergrowth" && hcMm !== null) {
      if (value !== null) return weeksDays(value) + lateNote(value);
      if (weeksIntergrowth(hcMm) !== null) return "";
      const [low, high] = INTERGROWTH_WEEKS;
      return `none, age is ${hcMm < 200 ? `below ${low}` : `above ${high}`} weeks`;
    }
    if (value === null) return "";
    const high = name === "hc_mm" ? figures.hc_high_mm : null;
    return value.toFixed(1) + (high === null ? "" : ` ± ${(high - value).toFixed(1)}`);
  }

  function centileText(value) {
    if (value === null) return `none, age is outside ${INTERGROWTH_WEEKS.join(" to ")} weeks`;
    return value < 0.5 ? "below 1" : value >= 99.5 ? "above 99" : value.toFixed(0);
  }

  function ageHadlock({ hc_mm: hcMm, ga_weeks_hadlock: weeks, ga_high_weeks_hadlock: high }) {
    if (weeks !== null) return `${weeksDays(weeks)} ± ${weeksDays(high - weeks)}${lateNote(weeks)}`;
    if (hcMm === null || (hcMm >= HADLOCK_MM[0] && hcMm <= HADLOCK_MM[1])) return "";
    const limit = hcMm < HADLOCK_MM[0] ? `below ${HADLOCK_MM[0]}` : `above ${HADLOCK_MM[1]}`;
    return `none, HC is ${limit} mm`;
  }

  /* Weeks to the nearest day: 19.6 is 19w4d. */
  function weeksDays(weeks) {
    const days = Math.floor(weeks * 7 + 0.5);
    return `${Math.floor(days / 7)}w${days % 7}d`;
  }

  const lateNote = (weeks) => (weeks >= LATE_WEEKS ? " (late: HC may read 2 weeks young)" : "");

  /* The lines of a picture's caption. */
  function captionLines(figures) {
    if (figures.hc_mm === null) return [`HC ${text("hc_px", figures)} px (no pixel size)`];
    const age = ageHadlock(figures);
    const line = age.startsWith("none") ? `GA: ${age}` : `GA by HC ${age}`;
    return [`HC ${text("hc_mm", figures)} mm`, ...(age ? [line] : [])];
  }

  return { none, measure, expected, dropAges, text, captionLines };
})();
