// What the network makes of the present input: probabilities as bars and the predicted class, or the
// outputs of a regression.

const MOST_BARS = 12;

function makePrediction() {
  const words = element("p", { class: "prediction" });
  const bars = element("ol", { class: "bars" });
  const more = element("p", { class: "hint" });
  onState(() => {
    const { rows, predicted, isProbability } = outcome();
    const shown = rows.length > MOST_BARS ? ranked(rows.map(({ value }) => value)).slice(0, MOST_BARS) : rows.map((_, i) => i);
    const largest = isProbability ? 1 : largestMagnitude(rows.map(({ value }) => value));
    words.replaceChildren(...(predicted === null ? [] : [text("predicted"), " ", element("strong", {}, predicted)]));
    words.hidden = predicted === null;
    bars.replaceChildren(...shown.map((i) => barOf(rows[i], largest, isProbability)));
    more.textContent = shown.length < rows.length ? text("largestOutputs", { shown: shown.length, count: rows.length }) : "";
  });
  return element("section", { class: "card", id: "prediction" }, told(element("h2"), "prediction"), words, bars, more);
}

function barOf({ name, value, isPredicted }, largest, isProbability) {
  const share = shareOf(value, largest);
  const bar = element("span", { class: `bar${share < 0 ? " negative" : ""}` });
  bar.style.setProperty("--length", `${Math.min(100, 100 * Math.abs(share))}%`);
  return element("li", { class: isPredicted ? "predicted" : null },
    element("span", { class: "name" }, name), element("span", { class: "track" }, bar),
    element("span", { class: "number" }, isProbability ? shownPercent(value) : shownNumber(value)));
}

// outcome(): what nncore's predict and predict_proba say, as { rows: [{ name, value, isPredicted }],
// predicted, isProbability }.
function outcome() {
  const layer = model.layers[model.layers.length - 1];
  const { sums, outputs } = state.computed.layers[model.layers.length - 1];
  const names = (count) => (model.classes?.length === count ? model.classes.map(String) : Array.from({ length: count }, (_, i) => String(i)));
  const labelled = (values, labels, isProbability) => {
    const rows = values.map((value, i) => ({ name: labels[i], value, isPredicted: false }));
    return { rows, predicted: null, isProbability };
  };
  if (layer.activation === "sigmoid") return sigmoidOutcome(layer, sums, outputs, names, labelled);
  const isShares = sharesOut(layer);
  if (!isShares && !(model.classes && layer.activation === "identity" && outputs.length > 1)) {
    return labelled(Array.from(outputs), outputs.length === 1 ? ["y"] : Array.from(outputs, (_, i) => `y${i + 1}`), false);
  }
  const values = Array.from(outputs, (value) => (layer.activation === "log_softmax" ? Math.exp(value) : value));
  const found = labelled(values, names(values.length), isShares);
  const best = Array.from(sums).indexOf(Math.max(...sums));
  if (best >= 0) {
    found.rows[best].isPredicted = true;
    found.predicted = found.rows[best].name;
  }
  return found;
}

// One output is the probability of the second of two classes; more are the probabilities of as many labels.
function sigmoidOutcome(layer, sums, outputs, names, labelled) {
  const single = outputs.length === 1;
  const values = single ? [curve(model, layer, -sums[0]), outputs[0]] : Array.from(outputs);
  const found = labelled(values, names(values.length), true);
  const isOn = (i) => (single ? (sums[0] > 0) === (i === 1) : sums[i] > 0);
  found.rows.forEach((one, i) => {
    one.isPredicted = isOn(i);
  });
  found.predicted = found.rows.filter((one) => one.isPredicted).map((one) => one.name).join(text("comma")) || text("none");
  return found;
}
