/* Gestational age from the head circumference, as edgeseg/measure/biometry.py has it; weeks. */

const HADLOCK_MM = [68, 360], INTERGROWTH_WEEKS = [14, 40], LATE_WEEKS = 36;
const HADLOCK_TWO_SD_WEEKS = [[144, 1.19], [219, 1.48], [280, 2.06], [325, 2.98], [360, 3.2]];

/* Hadlock et al. 1984; null outside 68 to 360 mm. */
export function weeksHadlock(hcMm) {
  if (hcMm < HADLOCK_MM[0] || hcMm > HADLOCK_MM[1]) return null;
  const cm = hcMm / 10;
  return 8.96 + 0.54 * cm + 0.0003 * cm ** 3;
}

/* Half of its interval: two standard deviations, and how far HC itself may be off. */
export function halfWidthHadlock(hcMm, halfMm) {
  const [, twoSd] = HADLOCK_TWO_SD_WEEKS.find(([high]) => hcMm <= high);
  const weeksPerMm = (0.54 + 3 * 0.0003 * (hcMm / 10) ** 2) / 10;
  return Math.hypot(twoSd, weeksPerMm * halfMm);
}

/* INTERGROWTH-21st (doi:10.1002/uog.15894); null outside 14 to 40 weeks. */
export function weeksIntergrowth(hcMm) {
  if (hcMm < 20 || hcMm > 1000) return null;
  const weeks = Math.exp(0.0597 * Math.log(hcMm) ** 2 + 6.409e-9 * hcMm ** 3 + 3.3258) / 7;
  return weeks >= INTERGROWTH_WEEKS[0] && weeks <= INTERGROWTH_WEEKS[1] ? weeks : null;
}

/* Weeks as people write them: 19.6 is 19w4d. */
export function weeksDays(weeks) {
  const days = Math.floor(weeks * 7 + 0.5);
  return `${Math.floor(days / 7)}w${days % 7}d`;
}

/* The age by Hadlock as people read it, or for which HC there is none; empty if it was left out. */
export function ageText(figures) {
  const { hc_mm: hcMm, ga_weeks_hadlock: weeks, ga_high_weeks_hadlock: high } = figures;
  if (weeks !== null) {
    const late = weeks >= LATE_WEEKS ? " (late: HC may read 2 weeks young)" : "";
    return `${weeksDays(weeks)} ± ${weeksDays(high - weeks)}${late}`;
  }
  if (hcMm === null || (hcMm >= HADLOCK_MM[0] && hcMm <= HADLOCK_MM[1])) return "";
  const limit = hcMm < HADLOCK_MM[0] ? `below ${HADLOCK_MM[0]}` : `above ${HADLOCK_MM[1]}`;
  return `none, HC is ${limit} mm`;
}
