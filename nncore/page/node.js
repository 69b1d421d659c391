// One node in full: its terms, its sum, and its activation as numbers and on the curve.

const MOST_TERMS = 12; // a longer sum shows its largest terms first
const MOST_ROWS = 10000; // all terms of a still longer one are more than a browser shows with ease

const detail = { all: false, section: null };

function makeDetail() {
  const title = element("h2", { tabindex: -1 });
  const invitation = hint("chooseNode");
  const which = element("input", { type: "number", min: 1, id: "which", onchange: openNode });
  const label = told(element("label", { for: "which" }), "nodeNumber");
  const chooser = element("p", { class: "chooser" }, label, which);
  const compute = button("computeTo", computeSelected);
  const terms = element("div", { class: "terms" });
  const more = element("button", { type: "button", onclick: showMore });
  const outcome = element("div", { class: "outcome" });
  const body = element("div", { class: "columns" }, element("div", {}, terms, more), outcome);
  detail.section = element("section", { class: "card", id: "detail" },
    title, invitation, chooser, compute, body);

  onState(() => {
    const { selected } = state;
    const isEmpty = selected !== null && progressOf(selected.column, selected.node) === "empty";
    title.textContent = selected ? nodeTitle(selected) : text("node");
    invitation.hidden = selected !== null;
    chooser.hidden = !selected || !columns[selected.column].opens;
    compute.hidden = !isEmpty;
    body.hidden = !selected || isEmpty;
    if (!selected) return;
    which.max = columns[selected.column].size;
    which.value = selected.node + 1;
    if (isEmpty) return;
    const chain = chainOf(selected);
    more.hidden = chain.length > MOST_ROWS || (chain.length <= MOST_TERMS && !isLongShares(selected));
    more.textContent = text(detail.all ? "fewTerms" : "allTerms", { count: chain.length });
    terms.replaceChildren(...termTable(selected, chain));
    outcome.replaceChildren(...outcomeOf(selected));
  });

  function openNode() {
    const node = Math.round(Number(which.value)) - 1;
    const { column } = state.selected;
    select(column, Math.min(Math.max(node, 0), columns[column].size - 1) || 0);
  }
  function computeSelected() {
    computeTo(state.selected.column, state.selected.node);
    title.focus(); // the button is gone
  }
  function showMore() {
    detail.all = !detail.all;
    stateChanged();
  }
  return detail.section;
}

// On a narrow screen the details are below the graph: whoever taps a node is taken there.
function revealDetail() {
  detail.section.scrollIntoView({ block: "nearest", behavior: glide() });
}

function nodeTitle({ column, node }) {
  const names = column === columns.length - 1 ? classNames() : null;
  const values = { layer: layerName(column), node: node + 1, count: columns[column].size, name: names?.[node] };
  return text(names ? "classTitle" : "nodeTitle", values);
}

function chainOf({ column, node }) {
  return terms(model, columns[column].layer, valuesOf(column - 1), node);
}

// The terms in order with the running sum or, of a long sum, the largest ones.
function termTable({ column, node }, chain) {
  const { bias } = columns[column].layer;
  const isShort = chain.length > (detail.all ? MOST_ROWS : MOST_TERMS);
  const order = chain.map((_, i) => i);
  const shown = isShort ? ranked(chain.map(({ product }) => product)).slice(0, MOST_TERMS) : order;
  const heads = [column === 1 && data.image ? "pixel" : "input", "value", "weight", "product"];
  if (!isShort) heads.push("runningSum");
  const only = (name, number) => [name, ...heads.slice(2).map(() => ""), shownNumber(number)];
  const rows = shown.map((i) => termRow(column, i, chain[i]).slice(0, heads.length));
  rows.unshift(only(text(bias ? "bias" : "noBias"), bias ? bias[node] : 0));
  const others = chain.length - shown.length;
  if (isShort) rows.push(only(text("otherTerms", { count: others }), othersOf(chain, shown)));
  return [
    element("h3", {}, text("weightedSum")),
    element("p", { class: "formula" }, text(bias ? "sumFormula" : "sumFormulaWithoutBias"),
      element("br"), text("rounding", { dtype: model.dtype })),
    isShort ? element("p", { class: "hint" }, text("largestTerms", { shown: MOST_TERMS, count: chain.length })) : "",
    numberTable(heads.map((key) => text(key)), rows, only(text("sum"), sumsOf(column)[node])),
  ];
}

function termRow(column, i, { input, weight, product, sum }) {
  const name = column > 1 ? text("nodeOf", { node: i + 1 }) : pixelName(i);
  return [name, ...[input, weight, product, sum].map((value) => shownNumber(value))];
}

function pixelName(i) {
  if (!data.image) return `x${i + 1}`;
  const { width } = data.image;
  return `${Math.floor(i / width) + 1}, ${(i % width) + 1}`;
}

function othersOf(chain, shown) {
  const listed = new Set(shown);
  return chain.reduce((sum, { product }, i) => (listed.has(i) ? sum : sum + product), 0);
}

function isLongShares({ column }) {
  const { layer } = columns[column];
  return sharesOut(layer) && layer.outputs > MOST_SHARES;
}

function outcomeOf(selected) {
  const { column, node } = selected;
  const { layer } = columns[column];
  if (sharesOut(layer)) return shareTable(layer, sumsOf(column), node, progressOf(column, node) === "done");
  const [sum, value] = [sumsOf(column)[node], valuesOf(column)[node]];
  const pictures = column === 1 && data.image ? weightPictures(node) : [];
  return [
    element("h3", {}, text("activation")),
    element("p", { class: "formula" }, `${layer.activation}(x) = ${formulaOf(layer)}`),
    element("p", { class: "result" }, `${layer.activation}(${shownNumber(sum)}) = `,
      element("strong", {}, shownNumber(value))),
    curvePlot(layer, sum),
    ...pictures,
  ];
}

function formulaOf({ activation, alpha, beta }) {
  const parameters = Object.entries({ alpha, beta }).filter(([key]) => ACTIVATIONS[activation][key] !== null);
  const formula = ACTIVATIONS[activation].formula;
  return [formula, ...parameters.map(([key, value]) => `${key} = ${shownNumber(value)}`)].join(", ");
}

// The weights of a node that looks at an image, and what they make of the present one.
function weightPictures(node) {
  const { width, height } = data.image;
  const weights = Array.from(valuesOf(0), (_, i) => weightOf(1, i, node));
  const products = weights.map((weight, i) => weight * valuesOf(0)[i]);
  const figure = (values, key) => element("figure", {},
    element("img", { src: pictureOf(values, width, height), alt: "" }), element("figcaption", {}, text(key)));
  return [element("div", { class: "pictures" }, figure(weights, "weights"), figure(products, "products"))];
}

// ---- tables

function numberTable(heads, rows, foot, marked = -1) {
  const line = ([name, ...cells], isMarked) => element("tr", { class: isMarked ? "marked" : null },
    element("th", { scope: "row" }, name), ...cells.map((cell) => element("td", {}, cell)));
  return element("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": heads.join(", ") },
    element("table", {},
      element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
      element("tbody", {}, ...rows.map((cells, i) => line(cells, i === marked))),
      element("tfoot", {}, line(foot))));
}
