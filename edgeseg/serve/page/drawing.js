/* Draw a result as overlays show it: outlines, calipers at the ends of axes, scale bar. */

const GREEN = "#3cdc50", ORANGE = "#ff9600", WHITE = "#fff", BLACK = "#000";
const DASH = 9, CALIPER = 6, EDGE = 8, LINE = 22, LETTER = 16; // px at scale 1
const TYPICAL_WIDTH = 800, LEAST_WIDTH = 600; // px; a picture with text is not narrower
const BARS_MM = [1, 2, 5, 10, 20, 50, 100, 200], LONGEST_BAR = 0.25, POINTS = 180;

/* Draw an image, at its own size, and what was measured on it; below it sentences, each of them [text,
   whether it is a doubt].

   scale: pixels of the image for each of a line; colours: of the classes. */
export function drawMeasured(canvas, gray, prediction, pixelSize, scale, colours, sentences = []) {
  canvas.width = sentences.length ? Math.max(gray.width, LEAST_WIDTH) : gray.width;
  const letters = canvas.width / TYPICAL_WIDTH;
  canvas.height = gray.height + (sentences.length && sentences.length + 1) * LINE * letters;
  const context = canvas.getContext("2d");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.putImageData(imageOf(gray), 0, 0);
  sentences.forEach(([text, isDoubt], i) => {
    const base = gray.height + (i + 1) * LINE * letters, colour = isDoubt ? ORANGE : WHITE;
    write(context, text, EDGE * letters, base, colour, letters);
  });
  context.beginPath(); // an outline may leave the image: not over the sentences
  context.rect(0, 0, gray.width, gray.height);
  context.clip();
  context.translate(0.5, 0.5); // (0, 0) is a pixel's centre
  context.lineCap = "round";
  if (prediction.ellipse) drawEllipse(context, prediction, scale);
  if (prediction.labels) drawBorders(context, gray, prediction.labels, scale, colours);
  if (pixelSize) drawBar(context, gray, pixelSize, scale);
}

function imageOf({ pixels, width, height }) {
  const image = new ImageData(width, height), words = new Uint32Array(image.data.buffer);
  pixels.forEach((value, i) => { words[i] = 0xff000000 | (value * 0x010101); });
  return image;
}

function drawEllipse(context, { ellipse, status }, scale) {
  const points = ellipses.points(ellipse, POINTS);
  context.strokeStyle = status === "ok" ? GREEN : ORANGE;
  context.lineWidth = 1.5 * scale;
  context.setLineDash(status === "ok" ? [] : [DASH * scale, DASH * scale]);
  line(context, points, true);
  context.setLineDash([]);
  const arm = CALIPER * scale;
  for (const [x, y] of [0, 45, 90, 135].map((end) => points[end])) {
    line(context, [[x - arm, y], [x + arm, y]]);
    line(context, [[x, y - arm], [x, y + arm]]);
  }
}

/* Draw the pixels of classes that border on others. */
function drawBorders(context, { width }, labels, scale, colours) {
  const wide = Math.max(scale, 1);
  labels.forEach((number, place) => {
    if (!number || [1, -1, width, -width].every((step) => labels[place + step] === number)) return;
    context.fillStyle = colours[number - 1];
    const x = place % width, y = Math.floor(place / width);
    context.fillRect(x - wide / 2, y - wide / 2, wide, wide);
  });
}

function line(context, points, isClosed = false) {
  context.beginPath();
  points.forEach(([x, y]) => context.lineTo(x, y));
  if (isClosed) context.closePath();
  context.stroke();
}

/* A bar across the image, as long as a round number of millimetres. */
function drawBar(context, { width, height }, { xMm }, scale) {
  const mm = BARS_MM.findLast((each) => each <= LONGEST_BAR * width * xMm);
  if (!mm) return;
  const left = EDGE * scale, right = left + mm / xMm;
  const base = height - EDGE * scale, tick = 4 * scale;
  for (const [colour, wide] of [[BLACK, 3], [WHITE, 1]]) {
    context.strokeStyle = colour;
    context.lineWidth = wide * scale;
    line(context, [[left, base], [right, base]]);
    for (const x of [left, right]) line(context, [[x, base - tick], [x, base + tick]]);
  }
  write(context, `${mm} mm`, left, base - 9 * scale, WHITE, scale);
}

/* Write a line, squeezed where it is wider than the picture. */
function write(context, text, x, y, colour, scale) {
  const room = context.canvas.width - 2 * x;
  context.font = `${LETTER * scale}px system-ui, sans-serif`;
  context.lineWidth = 3 * scale;
  context.strokeStyle = BLACK;
  context.fillStyle = colour;
  context.strokeText(text, x, y, room);
  context.fillText(text, x, y, room);
}
