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
// ACTIVATIONS     { name: { alpha, beta } }: every activation with the default of its parameters (null: it has none)
//
// `layer` is one of model.layers; its activation, alpha and beta may be assigned. ACTIVATIONS is
// filled by readNetwork.

const ACTIVATIONS = {};

function decoded(text, dtype) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new REALS[dtype].List(bytes.buffer);
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
  const defaults = ACTIVATIONS[layer.activation], { dtype } = data.network;
  const weights = decoded(data.arrays[`W${place}`], dtype);
  return {
    inputs: layer.in_features,
    outputs: layer.out_features,
    weights,
    bias: layer.use_bias ? decoded(data.arrays[`b${place}`], dtype) : null,
    activation: layer.activation,
    alpha: layer.alpha ?? defaults.alpha,
    beta: layer.beta ?? defaults.beta,
    finite: weights.every(Number.isFinite),
  };
}

function prepared(model, input) {
  const { List, round } = REALS[model.dtype], { first } = model;
  if (first === null) return List.from(input);
  if (first.type === "Normalization") {
    return List.from(input, (value, k) => (value - first.mean[k]) / first.std[k]);
  }
  const { scale, offset } = first;
  return List.from(input, (value) =>
    offset === 0 ? round(value) * scale : fma64(round(value), scale, offset));
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
  const { fma, List } = REALS[model.dtype], { outputs, weights } = layer;
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
  const { fma } = REALS[model.dtype];
  let sum = layer.bias ? layer.bias[node] : 0;
  return Array.from(inputs, (input, k) => {
    const weight = layer.weights[k * layer.outputs + node];
    sum = fma(input, weight, sum);
    return { input, weight, product: input * weight, sum };
  });
}

// Naive, for the time being.
const NAIVE = {
  identity: (x) => x,
  step: (x) => (x > 0 ? 1 : 0),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
  relu: (x) => Math.max(0, x),
  leaky_relu: (x, alpha) => (x > 0 ? x : alpha * x),
  elu: (x, alpha) => (x > 0 ? x : alpha * Math.expm1(x)),
  gelu: (x) => NAIVE.gelu_tanh(x),
  silu: (x) => x / (1 + Math.exp(-x)),
  softplus: (x) => Math.log1p(Math.exp(x)),
  selu: (x) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x)),
  relu6: (x) => Math.min(Math.max(x, 0), 6),
  clip: (x, alpha, beta) => Math.min(Math.max(x, alpha), beta),
  hard_sigmoid: (x, alpha, beta) => Math.min(Math.max(alpha * x + beta, 0), 1),
  hard_swish: (x) => x * Math.min(Math.max(x + 3, 0), 6) / 6,
  softsign: (x) => x / (1 + Math.abs(x)),
  mish: (x) => x * Math.tanh(Math.log1p(Math.exp(x))),
  gelu_tanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};

function activate(model, layer, sums) {
  if (layer.activation.endsWith("softmax")) {
    const highest = Math.max(...sums), exponentials = sums.map((sum) => Math.exp(sum - highest));
    const total = exponentials.reduce((a, b) => a + b);
    return layer.activation === "softmax" ? exponentials.map((one) => one / total)
      : sums.map((sum) => sum - highest - Math.log(total));
  }
  return sums.map((sum) => curve(model, layer, sum));
}

function curve(model, layer, sum) {
  const { round } = REALS[model.dtype];
  return round(NAIVE[layer.activation](round(sum), round(layer.alpha), round(layer.beta)));
}
