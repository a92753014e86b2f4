/* The table of results of this visit, with the columns of `edgeseg infer`. */

const MS = 3, CONFIDENCE = 4; // decimals

function number(value, decimals) {
  return value === null || value === undefined ? "" : value.toFixed(decimals);
}

function cells({ name, pixelSize, prediction, decodeMs, inferenceMs, restMs }) {
  const { status, reason, flags, confidence, figures } = prediction;
  const others = {
    file: cellText(name), frame: "", status, reason: cellText(reason), flags: flags.join(";"),
    confidence: status === "failed" ? "" : number(confidence, CONFIDENCE),
    decode_ms: number(decodeMs, MS), preprocess_ms: "",
    inference_ms: number(inferenceMs, MS), postprocess_ms: number(restMs, MS),
  };
  if (pixelSize && status !== "failed") {
    Object.assign(others, {
      pixel_size_x_mm: String(pixelSize.xMm), pixel_size_y_mm: String(pixelSize.yMm),
      pixel_size_source: pixelSize.source,
    });
  }
  return ({ name: column, decimals }) =>
    decimals === null ? others[column] ?? "" : number(figures[column], decimals);
}

export function tableText(results, columns) {
  const lines = results.map((result) => columns.map(cells(result)));
  return csvText([columns.map(({ name }) => name), ...lines]);
}
