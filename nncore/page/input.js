// The input of a network that takes numbers: a field for each, or one field for a long list.

const MOST_FIELDS = 16;

function makeInput() {
  const box = data.image ? makeDrawing() : columns[0].size <= MOST_FIELDS ? numberFields() : numberList();
  const first = button("firstInput", () => showInput(data.input));
  onState(() => {
    first.disabled = !isInputChanged();
  });
  return element("section", { class: "card", id: "input" },
    told(element("h2"), "inputs"), box, preparation(), first);
}

// Says what Rescaling or Normalization makes of the inputs, if there is one.
function preparation() {
  if (model.first === null) return null;
  const { type, scale, offset } = model.first;
  const values = { scale: shownNumber(scale ?? 1), offset: shownNumber(offset ?? 0) };
  const key = type === "Normalization" ? "normalized" : offset ? "shifted" : "rescaled";
  return hint(() => text(key, values));
}

function numberFields() {
  const refusal = element("p", { class: "refusal", id: "refusal", role: "status" });
  const fields = Array.from(state.input, (_, i) => {
    const field = element("input", { type: "number", step: "any", id: `x${i}`, oninput: assign, "aria-describedby": "refusal" });
    function assign() {
      const isNumber = Number.isFinite(field.valueAsNumber);
      field.setAttribute("aria-invalid", !isNumber);
      if (isNumber) showInput(state.input.with(i, field.valueAsNumber));
      refuse();
    }
    return field;
  });
  const isInvalid = (field) => field.getAttribute("aria-invalid") === "true";
  function refuse() {
    const i = fields.findIndex(isInvalid);
    refusal.textContent = i < 0 ? "" : text("noNumberIn", { name: `x${i + 1}`, value: shownNumber(state.input[i]) });
  }
  onState(() => {
    fields.forEach((field, i) => {
      if (document.activeElement === field && isInvalid(field)) return;
      if (field.valueAsNumber === state.input[i]) return;
      field.value = state.input[i];
      field.setAttribute("aria-invalid", false);
    });
    refuse();
  });
  return element("div", {}, element("div", { class: "fields" }, ...fields.map((field, i) =>
    element("div", {}, element("label", { for: field.id }, `x${i + 1}`), field))), refusal);
}

function numberList() {
  const list = element("textarea", { id: "numbers", rows: 6, oninput: assign, "aria-describedby": "refusal" });
  const refusal = element("p", { class: "refusal", id: "refusal", role: "status" });
  onState(() => {
    if (document.activeElement === list) return;
    list.value = Array.from(state.input).join(", ");
    list.setAttribute("aria-invalid", false);
    refusal.textContent = "";
  });
  function assign() {
    const words = list.value.split(/[\s,;]+/).filter(Boolean);
    const numbers = words.map(Number);
    const odd = words.find((_, i) => !Number.isFinite(numbers[i]));
    const isRight = odd === undefined && numbers.length === state.input.length;
    list.setAttribute("aria-invalid", !isRight);
    refusal.textContent = isRight ? "" : odd !== undefined ? text("noNumber", { word: odd })
      : text("otherCount", { given: numbers.length, count: state.input.length });
    if (isRight) showInput(numbers);
  }
  const label = told(element("label", { for: "numbers" }), () => text("numbers", { count: state.input.length }));
  return element("div", {}, label, list, refusal);
}
