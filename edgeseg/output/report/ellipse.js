"use strict";

/* An ellipse in an image, in the coordinates and by the formulas of edgeseg/measure/ellipse.py:
   points (x, y) in pixels, (0, 0) the centre of the top-left pixel, y down. */
const ellipses = {
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
