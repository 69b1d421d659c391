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

function decoded(text, dtype) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return dtype === "float32" ? new Float32Array(bytes.buffer) : new Float64Array(bytes.buffer);
}
