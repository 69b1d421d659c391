// What the network makes of the present input: probabilities as bars and the predicted class, or the
// outputs of a regression. The same as nncore's predict and predict_proba say.

const MOST_BARS = 12;

function makePrediction() {
  const words = element("p", { class: "prediction", role: "status" });
  const bars = element("ol", { class: "bars" });
  const more = element("p", { class: "hint" });
  onState(() => {
    const { values, names, predicted, areProbabilities } = outcome();
    const all = values.map((_, i) => i);
    const listed = values.length > MOST_BARS ? ranked(values).slice(0, MOST_BARS) : all;
    const largest = areProbabilities ? 1 : largestMagnitude(values);
    words.hidden = predicted === null;
    if (predicted) {
      const found = predicted.map((i) => names[i]).join(text("comma")) || text("none");
      const content = [text("predicted"), " ", element("strong", {}, found)];
      if (words.textContent !== `${content[0]} ${found}`) words.replaceChildren(...content);
    }
    bars.replaceChildren(...listed.map((i) => {
      const number = areProbabilities ? shownPercent(values[i]) : shownNumber(values[i]);
      return barOf(names[i], number, shareOf(values[i], largest), predicted?.includes(i));
    }));
    more.hidden = listed.length === values.length;
    more.textContent = text("largestOutputs", { shown: listed.length, count: values.length });
  });
  return element("section", { class: "card", id: "prediction" },
    told(element("h2"), "prediction"), words, bars, more);
}

function barOf(name, number, share, isPredicted) {
  const bar = element("span", { class: `bar${share < 0 ? " negative" : ""}` });
  bar.style.setProperty("--length", `${Math.min(100, 100 * Math.abs(share))}%`);
  return element("li", { class: isPredicted ? "predicted" : null },
    element("span", { class: "name" }, name), element("span", { class: "track" }, bar),
    element("span", { class: "number" }, number));
}

// outcome(): { values, names, predicted, areProbabilities }; `predicted` are the places of the classes
// that are predicted, null where the outputs are no classes.
function outcome() {
  const layer = model.layers.at(-1);
  const { sums, outputs } = state.computed.layers.at(-1);
  if (layer.activation === "sigmoid") {
    // One output is the probability of the second of two classes; each of several is one of its own label.
    if (outputs.length === 1) {
      return probabilities([curve(model, layer, -sums[0]), outputs[0]], [sums[0] > 0 ? 1 : 0]);
    }
    return probabilities([...outputs], [...sums.keys()].filter((i) => sums[i] > 0));
  }
  const best = largestOf(sums);
  const predicted = best < 0 ? [] : [best];
  if (layer.activation === "softmax") return probabilities([...outputs], predicted);
  if (layer.activation === "log_softmax") return probabilities(Array.from(outputs, Math.exp), predicted);
  if (layer.activation === "identity" && model.classes && outputs.length > 1) {
    return { ...probabilities([...outputs], predicted), areProbabilities: false };
  }
  const names = outputs.length === 1 ? ["y"] : Array.from(outputs, (_, i) => `y${i + 1}`);
  return { values: [...outputs], names, predicted: null, areProbabilities: false };
}

function probabilities(values, predicted) {
  const names = model.classes?.length === values.length ? model.classes : [...values.keys()];
  return { values, names: names.map(String), predicted, areProbabilities: true };
}
