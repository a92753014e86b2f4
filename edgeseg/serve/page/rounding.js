/* Numbers rounded and written as Python does it: halves go to the even neighbour. */

export function roundEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

/* A number with so many decimals; `toFixed` rounds halves up. */
export function fixed(value, decimals) {
  // only odd multiples of this are halves of the last decimal without a rest
  const halves = value * 2 ** (decimals + 1);
  const isHalf = Number.isInteger(halves) && Math.abs(halves % 2) === 1;
  if (!isHalf) return value.toFixed(decimals);
  return (roundEven(value * 10 ** decimals) / 10 ** decimals).toFixed(decimals);
}
