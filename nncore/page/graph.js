// The network drawn as layers of nodes. `build` makes the elements, when the room or the shape of the
// network changes; `update` writes the present numbers into them, so that nothing jumps about.

const MOST_PIXELS = 12; // edges from an image to the selected node
const MOST_LABELLED = 6; // inputs whose weights are written on the edges

function makeGraph() {
  const svg = drawn("svg", { role: "group", onkeydown: moveFocus });
  const scroller = element("div", { class: "graph" }, svg);
  const graph = { svg, scroller, room: 0, shape: "", current: { column: 1, slot: 0 } };
  toldLabel(svg, "network");
  onState(() => {
    const shape = JSON.stringify([classNames(), language, columns.map((column) => column.shown.length)]);
    // The focus comes back after the numbers: it makes the browser work out colours, and those of nodes
    // without numbers are black.
    const hadFocus = svg.contains(document.activeElement);
    if (shape !== graph.shape && graph.room) build(graph, shape);
    if (graph.room) update(graph);
    if (hadFocus && !svg.contains(document.activeElement)) {
      graph.nodes[graph.current.column]?.[graph.current.slot]?.group.focus();
    }
  });
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width === graph.room) return;
    graph.room = contentRect.width;
    graph.shape = "";
    stateChanged();
  }).observe(scroller);
  function moveFocus(event) {
    focusNeighbour(graph, event);
  }
  return graph;
}

function build(graph, shape) {
  const place = layOut(graph.room);
  Object.assign(graph, { shape, place, edges: [], nodes: [], pictures: [], pixels: [] });
  Object.assign(graph.svg.style, { width: `${place.width}px`, height: `${place.height}px` });
  graph.svg.setAttribute("viewBox", `0 0 ${place.width} ${place.height}`);
  const parts = ["lines", "labels", "boxes", "pixels"].map((name) => drawn("g", { class: name }));
  const [lines, labels, boxes, pixels] = parts;
  place.columns.forEach((column, c) => {
    boxes.append(titleOf(column, c));
    if (c > 0) joinColumns(graph, c, lines, labels, pixels);
    graph.pictures.push(column.picture ? pictureBox(graph, column, c, boxes) : null);
    graph.nodes.push(column.slots.map((slot, i) => nodeBox(graph, c, i, slot, boxes)));
  });
  graph.svg.replaceChildren(...parts);
}

function titleOf({ x, width }, c) {
  const { layer, size } = columns[c];
  let below = text(size === 1 ? "oneNode" : "nodes", { count: size });
  if (c === 0 && data.image) below = `${data.image.height} × ${data.image.width}`;
  if (layer) below += ` · ${layer.activation}`;
  return drawn("g", { class: "title", "text-anchor": "middle" },
    drawn("text", { x: x + width / 2, y: 16, class: "name" }, layerName(c)),
    drawn("text", { x: x + width / 2, y: 34, class: "muted" }, below));
}

// The edges between two columns: of every pair of shown nodes, and a faint band where there are more
// nodes than those, because each is joined to each.
function joinColumns(graph, c, lines, labels, pixels) {
  const [from, to] = [graph.place.columns[c - 1], graph.place.columns[c]];
  const [left, right] = [from.x + from.width, to.x];
  if (from.picture || to.picture) {
    const corners = [[left, from.top], [right, to.top], [right, to.bottom], [left, from.bottom]];
    lines.append(drawn("polygon", { class: "band", points: corners.join(" ") }));
  }
  if (c === 1 && data.image) {
    for (let i = 0; i < MOST_PIXELS; i++) {
      graph.pixels.push({ line: drawn("line"), mark: drawn("rect", { class: "pixel" }) });
    }
    for (const { line, mark } of graph.pixels) pixels.append(line, mark);
  }
  const isLabelled = !columns[c - 1].opens && from.slots.length <= MOST_LABELLED;
  graph.edges.push([]);
  from.slots.forEach((start, i) => to.slots.forEach((end, j) => {
    const line = drawn("line", { x1: left, y1: start.middle, x2: right, y2: end.middle });
    const share = 0.3;
    const label = isLabelled && drawn("text", {
      x: left + share * (right - left),
      y: start.middle + share * (end.middle - start.middle) + 4,
      "text-anchor": "middle",
    });
    lines.append(line);
    if (label) labels.append(label);
    graph.edges[c - 1].push({ line, label, from: i, to: j });
  }));
}

function pictureBox(graph, { picture }, c, boxes) {
  const { x, y, width, height } = picture;
  const image = drawn("image", { x, y, width, height, preserveAspectRatio: "none" });
  const frame = drawn("rect", { x, y, width, height, class: "frame", onclick: choose });
  const mark = drawn("rect", { class: "mark" });
  boxes.append(image, frame, mark);
  if (c === 0 && data.image) image.setAttribute("class", "photo");
  function choose(event) {
    if (c === 0) return;
    const box = frame.getBoundingClientRect();
    const column = Math.floor((picture.across * (event.clientX - box.left)) / box.width);
    const row = Math.floor((picture.down * (event.clientY - box.top)) / box.height);
    const node = row * picture.across + column;
    if (node >= 0 && node < columns[c].size) select(c, node);
  }
  return { image, mark, picture };
}

function nodeBox(graph, c, i, { x, y, middle }, boxes) {
  const index = drawn("text", { x: x + 8, y: y + 15, class: "muted" });
  const sum = drawn("text", { x: x + BOX.width - 8, y: y + 15, class: "muted", "text-anchor": "end" });
  const value = drawn("text", { x: x + BOX.width / 2, y: y + 33, class: "value", "text-anchor": "middle" });
  const box = drawn("rect", { x, y, width: BOX.width, height: BOX.height, rx: 9 });
  const group = drawn("g", { class: "node", role: c ? "button" : "img" }, box, index, sum, value);
  if (c) {
    group.addEventListener("click", () => {
      graph.current = { column: c, slot: i };
      select(c, columns[c].shown[i]);
      revealDetail();
    });
  }
  boxes.append(group);
  const names = c === columns.length - 1 && classNames();
  const name = names ? drawn("text", { x: x + BOX.width + 10, y: middle + 4, class: "class" }) : null;
  if (name) boxes.append(name);
  return { group, index, sum, value, name };
}

// ---- the present numbers

function update(graph) {
  followSelection(graph);
  columns.forEach((_, c) => {
    updateNodes(graph, c);
    if (graph.pictures[c]) updatePicture(graph, c);
    if (c > 0) updateEdges(graph, c);
  });
  if (data.image) updatePixels(graph);
  const step = stepAt(state.position);
  if (step && !state.chosen) scrollToColumn(graph, step.column);
}

// The tabulator comes to the node that was selected last, unless the arrow keys have gone on from it.
function followSelection(graph) {
  const { selected } = state;
  if (selected === graph.followed) return;
  graph.followed = selected;
  const slot = selected ? columns[selected.column].shown.indexOf(selected.node) : -1;
  if (slot >= 0) graph.current = { column: selected.column, slot };
}

function updateNodes(graph, c) {
  const values = valuesOf(c);
  const largest = largestMagnitude(values);
  columns[c].shown.forEach((node, i) => {
    const { group, index, sum, value, name } = graph.nodes[c][i];
    const progress = progressOf(c, node);
    const share = progress === "done" ? shareOf(values[node], largest) : 0;
    index.textContent = c ? node + 1 : `x${node + 1}`;
    sum.textContent = c === 0 ? (model.first ? shownNumber(state.input[node]) : "")
      : progress === "empty" ? "" : `Σ ${shownNumber(sumsOf(c)[node])}`;
    value.textContent = { empty: "?", sum: "…", done: shownNumber(values[node]) }[progress];
    group.setAttribute("class", `node ${progress} ${share < 0 ? "negative" : "positive"}`);
    group.style.setProperty("--share", `${Math.round(55 * Math.abs(share))}%`);
    group.setAttribute("aria-label", nodeText(c, node, progress));
    if (name) nameClass(name, classNames()[node]);
    if (c === 0) return;
    group.setAttribute("aria-pressed", isSelected(c, node));
    const { current } = graph;
    group.setAttribute("tabindex", current.column === c && current.slot === i ? 0 : -1);
  });
}

// Beside a node of the last layer: a long name is cut, and whole for those who point at it.
function nameClass(label, name) {
  label.replaceChildren(shortName(name), drawn("title", {}, name));
}

function nodeText(c, node, progress) {
  const values = { layer: layerName(c), node: node + 1, value: shownNumber(valuesOf(c)[node]) };
  if (c === 0) return text("inputNode", values);
  values.sum = shownNumber(sumsOf(c)[node]);
  return text({ empty: "emptyNode", sum: "summedNode", done: "doneNode" }[progress], values);
}

function updatePicture(graph, c) {
  const { image, mark, picture } = graph.pictures[c];
  if (c === 0 && data.image) {
    image.setAttribute("href", imageOf(state.input, data.image, pixelRange));
    return;
  }
  const { across, down } = picture;
  image.setAttribute("href", pictureOf(valuesOf(c), across, down, (node) => progressOf(c, node) === "done"));
  const cell = { width: picture.width / across, height: picture.height / down };
  const node = state.selected?.column === c ? state.selected.node : -1;
  placeMark(mark, node, across, picture, cell);
}

// Frames one cell of a picture: none if `place` is -1.
function placeMark(mark, place, across, { x, y }, cell) {
  mark.setAttribute("visibility", place < 0 ? "hidden" : "visible");
  const around = {
    x: x + (place % across) * cell.width - 1.5,
    y: y + Math.floor(place / across) * cell.height - 1.5,
    width: cell.width + 3,
    height: cell.height + 3,
  };
  for (const [key, value] of Object.entries(around)) mark.setAttribute(key, value);
}

function updateEdges(graph, c) {
  const largest = largestWeight(columns[c].layer);
  for (const { line, label, from, to } of graph.edges[c - 1]) {
    const [input, node] = [columns[c - 1].shown[from], columns[c].shown[to]];
    const weight = weightOf(c, input, node);
    const isActive = isSelected(c, node) && progressOf(c, node) !== "empty";
    drawEdge(line, weight, largest, isActive);
    if (label) label.textContent = isActive ? shownNumber(weight, 3) : "";
  }
}

function drawEdge(line, weight, largest, isActive) {
  line.setAttribute("class", `edge ${weight < 0 ? "negative" : "positive"}${isActive ? " active" : ""}`);
  line.setAttribute("stroke-width", (0.6 + 3 * Math.abs(shareOf(weight, largest))).toFixed(2));
}

const largestWeights = new Map();
function largestWeight(layer) {
  if (!largestWeights.has(layer)) largestWeights.set(layer, largestMagnitude(layer.weights));
  return largestWeights.get(layer);
}

// From the pixels whose products with the weights of the selected node are the largest.
function updatePixels(graph) {
  const node = state.selected?.column === 1 ? state.selected.node : -1;
  const isComputed = node >= 0 && progressOf(1, node) !== "empty";
  const slot = isComputed && graph.place.columns[1].slots[columns[1].shown.indexOf(node)];
  const { picture } = graph.place.columns[0];
  const across = data.image.width;
  const cell = { width: picture.width / across, height: picture.height / data.image.height };
  const products = slot ? valuesOf(0).map((value, i) => value * weightOf(1, i, node)) : [];
  const pixels = slot ? ranked(products).filter((i) => products[i] !== 0) : [];
  graph.pixels.forEach(({ line, mark }, k) => {
    const pixel = k < pixels.length ? pixels[k] : -1;
    placeMark(mark, pixel, across, picture, cell);
    line.setAttribute("visibility", pixel < 0 ? "hidden" : "visible");
    if (pixel < 0) return;
    const ends = {
      x1: picture.x + ((pixel % across) + 1) * cell.width,
      y1: picture.y + (Math.floor(pixel / across) + 0.5) * cell.height,
      x2: slot.x,
      y2: slot.middle,
    };
    for (const [key, value] of Object.entries(ends)) line.setAttribute(key, value);
    drawEdge(line, weightOf(1, pixel, node), largestWeight(columns[1].layer), true);
  });
}

// ---- the keyboard, and what is in sight

// One node is in the order of the tabulator; the arrow keys go on from it.
function focusNeighbour(graph, event) {
  let { column, slot } = graph.current;
  if (event.key === "Enter" || event.key === " ") select(column, columns[column].shown[slot]);
  else if (event.key === "ArrowUp") slot -= 1;
  else if (event.key === "ArrowDown") slot += 1;
  else if (event.key === "ArrowLeft") column -= 1;
  else if (event.key === "ArrowRight") column += 1;
  else return;
  event.preventDefault();
  column = Math.min(Math.max(column, 1), columns.length - 1);
  slot = Math.min(Math.max(slot, 0), columns[column].shown.length - 1);
  graph.current = { column, slot };
  stateChanged();
  graph.nodes[column][slot].group.focus();
}

function scrollToColumn({ scroller, place }, c) {
  const isLast = c === columns.length - 1;
  const right = isLast ? place.width : place.columns[c].x + place.columns[c].width;
  const left = Math.max(place.columns[c - 1].x - 4, isLast ? right - scroller.clientWidth : 0);
  const isInSight = left >= scroller.scrollLeft && right <= scroller.scrollLeft + scroller.clientWidth;
  if (!isInSight) scroller.scrollTo({ left, behavior: glide() });
}

function glide() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
}
