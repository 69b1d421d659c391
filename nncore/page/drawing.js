// An image that the reader draws: with mouse, finger or pen, or with the keys.
//
// The strokes are kept as lines and painted anew after every change, so that a drawing can be moved
// and scaled without becoming blurred: MNIST's digits fit into 20 of 28 pixels and have their centre
// of mass in the middle of the image, and a network that has learned from them expects that.

const PEN = 1.15; // radius on an image of 28 pixels
const ERASER = 2;
const MOST_ENLARGED = 4;

// Of black and white. Pixels beyond what the image should hold (standardised ones, say) widen it.
const pixelRange = data.image && [
  Math.min(0, least(data.input)),
  Math.max(data.image.high, most(data.input)),
];

function makeDrawing() {
  const { width, height } = data.image;
  const drawing = {
    base: null, // the image before the first stroke, as shares of white
    strokes: [], // [{ points, erases }]
    made: null, // the input that was made of them
    erases: false,
    centres: true,
    cursor: [width >> 1, height >> 1],
  };
  const canvas = element("canvas", { width, height, tabindex: 0, role: "application", "aria-describedby": "drawhow" });
  toldLabel(canvas, "canvas");
  const cursor = element("span", { class: "cursor" });
  Object.assign(cursor.style, { width: `${100 / width}%`, height: `${100 / height}%` });
  canvas.style.aspectRatio = `${width} / ${height}`;

  const changed = () => {
    drawing.made = pixelsOf(drawing);
    showInput(drawing.made);
  };
  listen(canvas, drawing, changed);
  listenToKeys(canvas, cursor, drawing, changed);
  onState(() => {
    // Another image was put in: it is drawn on from here.
    if (state.input !== drawing.made) {
      Object.assign(drawing, { base: relative(state.input), strokes: [], made: state.input });
    }
    show(canvas, drawing);
  });

  const tools = [button("pen", () => choose(false)), button("eraser", () => choose(true))];
  function choose(erases) {
    drawing.erases = erases;
    tools.forEach((tool, i) => tool.setAttribute("aria-pressed", erases === (i === 1)));
  }
  choose(false);
  function clearAll() {
    Object.assign(drawing, { base: drawing.base.map(() => 0), strokes: [] });
    changed();
  }
  const centre = element("input", { type: "checkbox", id: "centre", checked: true, onchange: toggle });
  function toggle() {
    drawing.centres = centre.checked;
    if (drawing.strokes.length) changed();
  }
  return element("div", { class: "drawing" }, element("div", { class: "paper" }, canvas, cursor),
    element("div", { class: "buttons" }, ...tools, button("clear", clearAll)),
    element("p", { class: "check" }, centre, told(element("label", { for: "centre" }), "centre")),
    element("details", { class: "hint" }, told(element("summary"), "how"),
      told(element("p", { id: "drawhow" }), "drawHow"), told(element("p"), "centreHint")));
}

// Pixels as shares of white, 0 to 1, and back; those of bytes are whole numbers.
function relative(input) {
  const [low, high] = pixelRange;
  return Float64Array.from(input, (value) => (value - low) / (high - low));
}

function pixelsOf(drawing) {
  const [low, high] = pixelRange;
  return centred(drawing).map((share) => low + ((high - low) * Math.round(255 * share)) / 255);
}

function show(canvas, drawing) {
  const context = canvas.getContext("2d");
  const picture = context.createImageData(canvas.width, canvas.height);
  paint(drawing).forEach((share, i) => picture.data.set([255 * share, 255 * share, 255 * share, 255], 4 * i));
  context.putImageData(picture, 0, 0);
}

// ---- painting

// paint(drawing): the image as drawn. `place` moves and scales the strokes, but not their thickness.
function paint({ base, strokes }, place = { scale: 1, x: 0, y: 0 }) {
  const image = base.slice();
  const at = ([x, y]) => [x * place.scale + place.x, y * place.scale + place.y];
  for (const { points, erases } of strokes) {
    const radius = penRadius() * (erases ? ERASER * place.scale : 1);
    const placed = points.map(at);
    placed.forEach((point, i) => paintLine(image, placed[Math.max(i - 1, 0)], point, radius, erases));
  }
  return image;
}

function penRadius() {
  return (PEN * Math.min(data.image.width, data.image.height)) / 28;
}

function paintLine(image, [x1, y1], [x2, y2], radius, erases) {
  const { width, height } = data.image;
  const [dx, dy] = [x2 - x1, y2 - y1];
  const range = (a, b, size) => [
    Math.max(Math.floor(Math.min(a, b) - radius - 1), 0),
    Math.min(Math.ceil(Math.max(a, b) + radius), size - 1),
  ];
  const [[left, right], [top, bottom]] = [range(x1, x2, width), range(y1, y2, height)];
  for (let row = top; row <= bottom; row++) {
    for (let column = left; column <= right; column++) {
      const [px, py] = [column + 0.5 - x1, row + 0.5 - y1]; // of the middle of the pixel
      const along = Math.min(Math.max((px * dx + py * dy) / (dx * dx + dy * dy || 1), 0), 1);
      const distance = Math.hypot(px - along * dx, py - along * dy);
      const ink = Math.min(Math.max(radius + 0.5 - distance, 0), 1); // grey at the edge
      const i = row * width + column;
      image[i] = erases ? Math.min(image[i], 1 - ink) : Math.max(image[i], ink);
    }
  }
}

// centred(drawing): as the images of MNIST were made, but for an image that was there before the first stroke.
function centred(drawing) {
  const raw = paint(drawing);
  if (!drawing.centres || !drawing.strokes.length || drawing.base.some((share) => share > 0)) return raw;
  const box = inkBox(raw);
  if (box === null) return raw;
  const { width, height } = data.image;
  const pen = 2 * penRadius();
  const room = (20 / 28) * Math.min(width, height) - pen;
  const scale = Math.min(room / Math.max(box.size - pen, 1), MOST_ENLARGED);
  const place = { scale, x: width / 2 - scale * box.x, y: height / 2 - scale * box.y };
  const mass = centreOfMass(paint(drawing, place));
  return paint(drawing, { scale, x: place.x + width / 2 - mass.x, y: place.y + height / 2 - mass.y });
}

function inkBox(image) {
  const { width } = data.image;
  const inked = [...image.keys()].filter((i) => image[i] > 0);
  if (inked.length === 0) return null;
  const [xs, ys] = [inked.map((i) => i % width), inked.map((i) => Math.floor(i / width))];
  const [left, right, top, bottom] = [least(xs), most(xs) + 1, least(ys), most(ys) + 1];
  return { x: (left + right) / 2, y: (top + bottom) / 2, size: Math.max(right - left, bottom - top) };
}

function centreOfMass(image) {
  const { width } = data.image;
  let [mass, x, y] = [0, 0, 0];
  image.forEach((share, i) => {
    mass += share;
    x += share * ((i % width) + 0.5);
    y += share * (Math.floor(i / width) + 0.5);
  });
  return { x: x / mass, y: y / mass };
}

// ---- pointers and keys

function listen(canvas, drawing, changed) {
  const pointOf = (event) => {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    return [(x * canvas.width) / box.width, (y * canvas.height) / box.height];
  };
  let stroke = null;
  const extend = (event) => {
    if (stroke === null || !event.isPrimary) return; // a second finger does not draw
    for (const one of event.getCoalescedEvents?.() ?? []) stroke.points.push(pointOf(one));
    stroke.points.push(pointOf(event));
    changed();
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    canvas.setPointerCapture(event.pointerId);
    stroke = { points: [], erases: drawing.erases };
    drawing.strokes.push(stroke);
    extend(event);
  });
  canvas.addEventListener("pointermove", extend);
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, () => {
      stroke = null;
    });
  }
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// The arrow keys move a cursor, with the shift key they draw a line; space draws a dot.
function listenToKeys(canvas, cursor, drawing, changed) {
  const { width, height } = data.image;
  const middle = () => drawing.cursor.map((place) => place + 0.5);
  const showCursor = () => {
    const [x, y] = drawing.cursor;
    cursor.style.inset = `${(100 * y) / height}% auto auto ${(100 * x) / width}%`;
  };
  const draw = (...points) => {
    drawing.strokes.push({ points, erases: drawing.erases });
    changed();
  };
  canvas.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (!arrow && event.key !== " ") return;
    event.preventDefault();
    const before = middle();
    if (arrow) {
      const [x, y] = drawing.cursor;
      const within = (place, size) => Math.min(Math.max(place, 0), size - 1);
      drawing.cursor = [within(x + arrow[0], width), within(y + arrow[1], height)];
      showCursor();
    }
    if (event.key === " " || event.shiftKey) draw(before, middle());
  });
  showCursor();
}
