// Where the graph's parts stand: one column for the inputs and one for each layer, each centred on
// the same height. A node is a box of two lines of numbers.

const BOX = { width: 128, height: 42, pitch: 52 };
const HEAD = 56; // room for the title of a column
const STRIP = 26; // room between a strip and the nodes that it opens to
const IMAGE = { wide: 176, narrow: 124 };
const NAME = 13; // letters of the names of classes beside the last column; longer ones are cut
const GAP = { least: 60, most: 190 };

// layOut(room): { width, height, columns: [{ x, width, top, bottom, picture, slots }] } for a graph in
// `room` pixels; `picture` is the image or the heat strip, `slots` are the boxes of the shown nodes.
function layOut(room) {
  const shapes = columns.map((column, c) => shapeOf(column, c, room));
  const names = roomForNames();
  const taken = shapes.reduce((sum, shape) => sum + shape.width, names + 8);
  const gap = Math.min(Math.max((room - taken) / (shapes.length - 1), GAP.least), GAP.most);
  const tallest = Math.max(...shapes.map((shape) => shape.height));
  let x = 4;
  const placed = shapes.map((shape) => {
    const column = placedColumn(shape, x, HEAD + (tallest - shape.height) / 2);
    x += shape.width + gap;
    return column;
  });
  return { width: x - gap + 4 + names, height: HEAD + tallest + 6, columns: placed };
}

// The letters of some languages are twice as wide as those of others: so the browser measures them.
function roomForNames() {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `600 12px ${getComputedStyle(document.body).fontFamily}`;
  const widths = (classNames() ?? []).map((name) => pen.measureText(shortName(name)).width);
  return widths.length && 16 + Math.ceil(most(widths));
}

function shortName(name) {
  return name.length > NAME ? `${name.slice(0, NAME - 1)}…` : name;
}

function shapeOf({ size, opens, shown }, c, room) {
  const slots = shown.length && (shown.length - 1) * BOX.pitch + BOX.height;
  if (c === 0 && data.image) {
    const { height, width } = data.image;
    const side = room < 480 ? IMAGE.narrow : IMAGE.wide;
    const scale = side / Math.max(height, width);
    return { width: side, height: height * scale, picture: { width: width * scale, height: height * scale } };
  }
  if (!opens) return { width: BOX.width, height: slots };
  const { across, down } = stripShape(size);
  const height = Math.max(8, (BOX.width * down) / across);
  const picture = { width: BOX.width, height, across, down };
  return { width: BOX.width, height: height + STRIP + slots, picture };
}

function placedColumn(shape, x, top) {
  const { width, height, picture } = shape;
  const first = picture ? top + picture.height + STRIP : top;
  const slots = [];
  for (let y = first; y < top + height; y += BOX.pitch) slots.push({ x, y, middle: y + BOX.height / 2 });
  return {
    x,
    width,
    top,
    bottom: top + height,
    picture: picture && { x: x + (width - picture.width) / 2, y: top, ...picture },
    slots: picture && !picture.across ? [] : slots,
  };
}

// The names beside the last layer's nodes: of classes, if its outputs stand for classes.
function classNames() {
  const { layer } = columns[columns.length - 1];
  if (layer.outputs === 1) return null;
  if (model.classes) return model.classes.map(String);
  return sharesOut(layer) ? Array.from({ length: layer.outputs }, (_, i) => String(i)) : null;
}
