// Softmax and its logarithm: one output's share depends on the sums of all of them.

const MOST_SHARES = 12; // of many outputs those with the largest shares are shown

// Every output's part in the softmax: the maximum is subtracted first, so that no exponential overflows.
function shareTable(layer, sums, node, isDone) {
  const { highest, exponentials, total } = FUNCTIONS[model.dtype].softmaxOf(sums);
  const outputs = valuesOf(columns.length - 1);
  const names = classNames();
  const shown = ranked(exponentials).slice(0, MOST_SHARES).concat(node);
  const isShort = sums.length > MOST_SHARES && !detail.all;
  const order = Array.from(sums.keys()).filter((i) => !isShort || shown.includes(i));
  const rows = order.map((i) => {
    const numbers = [sums[i], sums[i] - highest, exponentials[i]].map((value) => shownNumber(value));
    return [names ? names[i] : i, ...numbers, isDone ? shownNumber(outputs[i]) : "…"];
  });
  const isLogarithm = layer.activation === "log_softmax";
  const formula = isLogarithm ? "z − max − log(Σ exp(z − max))" : "exp(z − max) / Σ exp(z − max)";
  const heads = [text("class"), "z", "z − max", "exp(z − max)", layer.activation];
  return [
    element("h3", {}, text("activation")),
    element("p", { class: "formula" }, `${layer.activation}(z) = ${formula}`),
    element("p", { class: "hint" }, text("sharesNote", { highest: shownNumber(highest) })),
    numberTable(heads, rows, [text("total"), "", "", shownNumber(total), ""], order.indexOf(node)),
  ];
}
