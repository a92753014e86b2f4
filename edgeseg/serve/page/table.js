/* The table of results of this visit, with the columns of `edgeseg infer`, those of times empty. */

const CONFIDENCE = 4; // decimals

const number = (value, decimals) => value?.toFixed(decimals) ?? "";

function cells({ name, pixelSize, prediction }, columns) {
  const { status, reason, flags, confidence, figures } = prediction;
  const others = {
    file: cellText(name), status, reason: cellText(reason), flags: flags.join(";"),
    confidence: number(confidence, CONFIDENCE), pixel_size_source: pixelSize?.source,
    pixel_size_x_mm: pixelSize?.xMm, pixel_size_y_mm: pixelSize?.yMm,
  };
  return columns.map((column) => column.decimals === null
    ? others[column.name] ?? "" : number(figures[column.name], column.decimals));
}

export function tableText(results, columns) {
  const lines = results.map((result) => cells(result, columns));
  return csvText([columns.map(({ name }) => name), ...lines]);
}
