/* The table of results of this visit, with the columns of `edgeseg infer`. */

const MS = 3, CONFIDENCE = 4; // decimals

const number = (value, decimals) => value?.toFixed(decimals) ?? "";

function cells({ name, pixelSize, prediction, decodeMs, inferenceMs, restMs }, columns) {
  const { status, reason, flags, confidence, figures } = prediction;
  const others = {
    file: cellText(name), status, reason: cellText(reason), flags: flags.join(";"),
    confidence: number(confidence, CONFIDENCE), decode_ms: number(decodeMs, MS),
    inference_ms: number(inferenceMs, MS), postprocess_ms: number(restMs, MS),
    pixel_size_x_mm: pixelSize?.xMm, pixel_size_y_mm: pixelSize?.yMm,
    pixel_size_source: pixelSize?.source,
  };
  return columns.map((column) => column.decimals === null
    ? others[column.name] ?? "" : number(figures[column.name], column.decimals));
}

export function tableText(results, columns) {
  const lines = results.map((result) => cells(result, columns));
  return csvText([columns.map(({ name }) => name), ...lines]);
}
