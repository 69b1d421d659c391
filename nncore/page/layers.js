// The activation function of each layer, and what the reader has changed against the original network.

function makeLayers() {
  const rows = model.layers.map(layerChoice);
  return element("section", { class: "card" }, told(element("h2"), "functions"),
    hint("functionsHint"), element("div", { class: "layers" }, ...rows));
}

function layerChoice(layer, i) {
  const isLast = i === model.layers.length - 1;
  const names = Object.keys(ACTIVATIONS).filter((name) => isLast || !name.endsWith("softmax"));
  const choice = element("select", { id: `activation${i}`, onchange: () => setActivation(layer, choice.value) },
    ...names.map((name) => element("option", { value: name }, name)));
  const label = told(element("label", { for: choice.id }), () => layerName(i + 1));
  const parameters = ["alpha", "beta"].map((key) => parameterField(layer, i, key));
  onState(() => {
    choice.value = layer.activation;
    choice.classList.toggle("changed", isChanged(layer));
  });
  return element("div", { class: "layer" }, label, choice, ...parameters);
}

function parameterField(layer, i, key) {
  const field = element("input", { type: "number", step: "any", id: `${key}${i}`, oninput: assign });
  const box = element("span", { class: "parameter" }, element("label", { for: field.id }, key), field);
  onState(() => {
    box.hidden = ACTIVATIONS[layer.activation][key] === null;
    if (document.activeElement !== field || Number(field.value) !== layer[key]) field.value = layer[key] ?? "";
  });
  function assign() {
    const isNumber = field.value !== "" && Number.isFinite(field.valueAsNumber);
    field.setAttribute("aria-invalid", !isNumber);
    if (isNumber) setActivation(layer, layer.activation, { ...layer, [key]: field.valueAsNumber });
  }
  return box;
}

// The note of what is changed, with the button that restores it.
function makeChanges() {
  const note = element("span");
  const box = element("div", { class: "changes", role: "status" }, note, button("restore", restore));
  onState(() => {
    const changes = model.layers.filter(isChanged).map((layer) => {
      const i = model.layers.indexOf(layer);
      const [before, now] = [original[i], layer].map(withParameters);
      return text("changedLayer", { layer: layerName(i + 1), before, now });
    });
    if (isInputChanged()) changes.push(text("changedInput"));
    box.hidden = changes.length === 0;
    const words = text("changed", { changes: changes.join(text("comma")) });
    if (note.textContent !== words) note.textContent = words;
  });
  return box;
}

function withParameters({ activation, alpha, beta }) {
  const given = [alpha, beta].filter(Number.isFinite).map((value) => shownNumber(value));
  return given.length ? `${activation}(${given.join(", ")})` : activation;
}
