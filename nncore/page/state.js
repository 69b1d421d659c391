// What the page shows at this moment, and every way to change it.
//
// The parts of the page draw themselves from `state` in functions that they hand to onState. A column
// is what the graph draws in one column: column 0 the inputs, column c the nodes of Dense layer c.

const data = JSON.parse(document.getElementById("data").textContent);
const model = readNetwork(data);
const original = model.layers.map(({ activation, alpha, beta }) => ({ activation, alpha, beta }));

const MOST_WHOLE = 12; // a layer of more nodes is a heat strip that opens to OPENED of them
const OPENED = 8;

const columns = [null, ...model.layers].map((layer) => {
  const size = layer ? layer.outputs : model.layers[0].inputs;
  return { layer, size, opens: size > MOST_WHOLE, shown: [] };
});

const state = {
  input: Float64Array.from(data.input), // as typed or drawn, before Rescaling or Normalization
  computed: null, // what run returns for it
  position: 0, // steps done
  selected: null, // { column, node }: the node whose sum is shown
  chosen: false, // whether the reader selected it, and not a step
};

const drawers = [];

function onState(draw) {
  drawers.push(draw);
}

function stateChanged() {
  for (const draw of drawers) draw();
}

function valuesOf(c) {
  return c === 0 ? state.computed.inputs : state.computed.layers[c - 1].outputs;
}

function sumsOf(c) {
  return state.computed.layers[c - 1].sums;
}

function weightOf(c, input, node) {
  const { weights, outputs } = columns[c].layer;
  return weights[input * outputs + node];
}

// Softmax and its logarithm: each output depends on all sums of the layer.
function sharesOut(layer) {
  return layer.activation.endsWith("softmax");
}

// ---- steps: the shown nodes of a layer one after the other, then all others of a wide layer at
// once, then the shares of a softmax layer

function stepsOf(c) {
  const { layer, opens, shown } = columns[c];
  return shown.length + opens + sharesOut(layer);
}

function stepsBefore(c) {
  let count = 0;
  for (let i = 1; i < c; i++) count += stepsOf(i);
  return count;
}

function stepCount() {
  return stepsBefore(columns.length);
}

// stepAt(position): the step that was done last, { kind: "node", "rest" or "shares", column, node }.
function stepAt(position) {
  let left = position;
  for (let c = 1; c < columns.length && left > 0; c++) {
    const { layer, shown } = columns[c];
    const count = stepsOf(c);
    if (left <= shown.length) return { kind: "node", column: c, node: shown[left - 1] };
    if (left <= count) return { kind: left === count && sharesOut(layer) ? "shares" : "rest", column: c };
    left -= count;
  }
  return null;
}

// progressOf(c, node): "empty", "sum" (its share is still to come) or "done".
function progressOf(c, node) {
  if (c === 0) return "done";
  const { layer, shown } = columns[c];
  const done = state.position - stepsBefore(c);
  if (done >= stepsOf(c)) return "done";
  const place = shown.indexOf(node);
  const isSummed = place < 0 ? done > shown.length : place < done;
  if (!isSummed) return "empty";
  return sharesOut(layer) ? "sum" : "done";
}

function isSelected(c, node) {
  return state.selected !== null && state.selected.column === c && state.selected.node === node;
}

// The nodes of a wide layer that matter: those of the largest activations or, where the reader has
// chosen a node of the next layer, of the largest products with its weights.
function shownNodes(c) {
  const { size, opens } = columns[c];
  if (c === 0 && data.image) return [];
  if (!opens) return Array.from({ length: size }, (_, i) => i);
  const { selected } = state;
  const isComputed = selected !== null && progressOf(selected.column, selected.node) !== "empty";
  const byProduct = state.chosen && isComputed && selected.column === c + 1;
  const values = valuesOf(c);
  const product = (value, i) => value * weightOf(c + 1, i, selected.node);
  const nodes = ranked(byProduct ? values.map(product) : values).slice(0, OPENED);
  if (isComputed && selected.column === c && !nodes.includes(selected.node)) {
    nodes[OPENED - 1] = selected.node;
  }
  return nodes.sort((a, b) => a - b);
}

function chooseShown() {
  columns.map((_, c) => shownNodes(c)).forEach((shown, c) => {
    columns[c].shown = shown;
  });
}

// ---- what the reader does

function compute() {
  state.computed = run(model, state.input);
  chooseShown();
}

function goTo(position) {
  state.position = Math.max(0, Math.min(position, stepCount()));
  state.chosen = false;
  chooseShown();
  const step = stepAt(state.position);
  if (step === null) state.selected = null;
  else if (step.kind !== "rest") {
    // Among NaN none is the largest: then the first node is shown.
    const { column, node = Math.max(0, largestOf(sumsOf(column))) } = step;
    state.selected = { column, node };
  }
  stateChanged();
}

function goToNextLayer() {
  let c = 1;
  while (c < columns.length && state.position >= stepsBefore(c + 1)) c++;
  goTo(stepsBefore(c + 1));
}

// Computes as much as the node needs, and shows it.
function computeTo(c, node) {
  const place = columns[c].shown.indexOf(node);
  const needed = sharesOut(columns[c].layer) || place < 0 ? stepsOf(c) : place + 1;
  state.position = Math.max(state.position, stepsBefore(c) + needed);
  select(c, node);
}

function select(c, node) {
  state.selected = { column: c, node };
  state.chosen = true;
  chooseShown();
  stateChanged();
}

function showInput(values) {
  state.input = values instanceof Float64Array ? values : Float64Array.from(values);
  compute();
  stateChanged();
}

function setActivation(layer, activation, { alpha, beta } = ACTIVATIONS[activation]) {
  const wasComplete = state.position === stepCount();
  Object.assign(layer, { activation, alpha, beta });
  compute();
  state.position = wasComplete ? stepCount() : Math.min(state.position, stepCount());
  stateChanged();
}

function restore() {
  model.layers.forEach((layer, i) => setActivation(layer, original[i].activation, original[i]));
  showInput(data.input);
}

// Whether an activation or its parameters are other ones than in nncore's network.
function isChanged(layer) {
  const before = original[model.layers.indexOf(layer)];
  return ["activation", "alpha", "beta"].some((key) => layer[key] !== before[key]);
}

function isInputChanged() {
  return state.input.some((value, i) => value !== data.input[i]);
}
