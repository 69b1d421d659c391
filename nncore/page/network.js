// The network of the page: decoded from the data that Python wrote, and run.
//
// readNetwork(data) -> model
//   model.dtype     "float32" or "float64"
//   model.first     null, or { type: "Rescaling", scale, offset }, or { type: "Normalization", mean, std }
//   model.layers    [{ inputs, outputs, weights, bias, activation, alpha, beta }]: weights (inputs, outputs)
//                   row by row, bias (outputs) or null, as Float32Array or Float64Array
//   model.classes   the names of the classes, or null
// prepared(model, input) -> what the first Dense layer is given: the inputs after `first`, in the dtype
// run(model, input) -> { inputs, layers: [{ sums, outputs }] }, typed arrays of the dtype
// terms(model, layer, inputs, node) -> [{ input, weight, product, sum }]: the chain of one node, in order;
//                   sum is the accumulator after this term, beginning from the bias
// activate(model, layer, sums) -> outputs of a layer, by its present activation, alpha and beta
// curve(model, layer, sum) -> the value of an elementwise activation at one sum
// ACTIVATIONS     { name: { alpha, beta, formula, rowwise } }: every activation with the default of its
//                   parameters (null: it has none); rowwise: it has no curve (softmax, log_softmax).
//                   readNetwork fills it
//
// `layer` is one of model.layers. Its activation, alpha and beta may be assigned; an alpha or beta
// that is null is the activation's default.
//
// All of it, in float32 and in float64, gives the bits that nncore gives: the sums, and each of the
// activations. Only `product` may be rounded: in float64 it is, in float32 it is exact.

const ACTIVATIONS = {};

function decoded(text, dtype) {
  const characters = atob(text), bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return new ARITHMETIC[dtype].List(bytes.buffer);
}

function readNetwork(data) {
  const { dtype, layers, classes } = data.network;
  const model = { dtype, first: null, layers: [], classes: classes || null };
  Object.assign(ACTIVATIONS, data.activations);
  for (const layer of layers) {
    if (layer.type === "Rescaling") {
      model.first = { type: layer.type, scale: layer.scale, offset: layer.offset || 0 };
    } else if (layer.type === "Normalization") {
      const [mean, std] = ["mean1", "std1"].map((name) => decoded(data.arrays[name], "float64"));
      model.first = { type: layer.type, mean, std };
    } else model.layers.push(readDense(data, layer, model.layers.length + 1));
  }
  return model;
}

function readDense(data, layer, place) {
  const { dtype } = data.network;
  const weights = decoded(data.arrays[`W${place}`], dtype);
  return {
    inputs: layer.in_features,
    outputs: layer.out_features,
    weights,
    bias: layer.use_bias ? decoded(data.arrays[`b${place}`], dtype) : null,
    activation: layer.activation,
    alpha: layer.alpha ?? ACTIVATIONS[layer.activation].alpha,
    beta: layer.beta ?? ACTIVATIONS[layer.activation].beta,
    finite: weights.every(Number.isFinite),
  };
}

function prepared(model, input) {
  const { List, round } = ARITHMETIC[model.dtype], { first } = model;
  if (first === null) return List.from(input);
  if (first.type === "Normalization") {
    return List.from(input, (value, k) => (value - first.mean[k]) / first.std[k]);
  }
  const { scale, offset } = first, { fma } = ARITHMETIC.float64;
  return List.from(input, (value) =>
    offset === 0 ? round(value) * scale : fma(round(value), scale, offset));
}

function run(model, input) {
  const inputs = prepared(model, input);
  const layers = [];
  let values = inputs;
  for (const layer of model.layers) {
    const sums = weightedSums(model, layer, values);
    values = activate(model, layer, sums);
    layers.push({ sums, outputs: values });
  }
  return { inputs, layers };
}

// One chain of fused multiply-adds for each output, all of them side by side. Inputs that are zero
// are left out, as the kernels do it if every weight is finite: fma(0, w, sum) is sum, but for the
// sign of a zero, which the 0 at the end makes positive.
function weightedSums(model, layer, inputs) {
  const { fma, List } = ARITHMETIC[model.dtype], { outputs, weights } = layer;
  const sums = layer.bias ? List.from(layer.bias) : new List(outputs);
  for (let k = 0; k < layer.inputs; k++) {
    const input = inputs[k];
    if (input === 0 && layer.finite) continue;
    for (let j = 0, at = k * outputs; j < outputs; j++, at++) {
      sums[j] = fma(input, weights[at], sums[j]);
    }
  }
  return sums.map((sum) => sum + 0);
}

function terms(model, layer, inputs, node) {
  const { fma } = ARITHMETIC[model.dtype];
  let sum = layer.bias ? layer.bias[node] : 0;
  return Array.from(inputs, (input, k) => {
    const weight = layer.weights[k * layer.outputs + node];
    sum = fma(input, weight, sum);
    return { input, weight, product: input * weight, sum: sum + 0 };
  });
}

function activate(model, layer, sums) {
  const softmax = FUNCTIONS[model.dtype].rowwise[layer.activation];
  return softmax ? softmax(sums) : sums.map((sum) => curve(model, layer, sum));
}

function curve(model, layer, sum) {
  const { round } = ARITHMETIC[model.dtype], { activation } = layer;
  const [alpha, beta] = ["alpha", "beta"].map((name) => layer[name] ?? ACTIVATIONS[activation][name]);
  return FUNCTIONS[model.dtype].elementwise[activation](round(sum), round(alpha), round(beta));
}
