// Begins: builds the parts of the page in their places.

function makeSwitches() {
  const languages = Object.keys(TEXTS).map((name) => {
    const choice = button(() => TEXTS[name].language, () => setLanguage(name), { lang: name });
    onLanguage(() => choice.setAttribute("aria-pressed", language === name));
    return choice;
  });
  const theme = element("select", { id: "theme", onchange: chooseTheme },
    ...["system", "light", "dark"].map((name) => told(element("option", { value: name }), name)));
  function chooseTheme() {
    document.documentElement.dataset.theme = theme.value;
  }
  document.getElementById("switches").append(
    element("span", {}, ...languages),
    element("span", {}, told(element("label", { for: "theme" }), "theme"), theme));
}

// Whether the page's outputs for the first input are nncore's own, which Python wrote into the page.
function makeAgreement() {
  const theirs = decoded(data.outputs, model.dtype);
  const distance = largestDistance(run(model, data.input).layers.at(-1).outputs, theirs);
  const words = () => (distance === 0n ? text("sameBits") : text("within", { distance }));
  return hint(words, { id: "agreement" });
}

compute();
makeSwitches();
const network = element("section", { class: "card", id: "network" }, told(element("h2"), "network"),
  makeControls(), makeChanges(), makeGraph().scroller, hint("legend"));
document.querySelector("noscript").replaceWith(
  element("div", { class: "side" }, makeInput(), makePrediction()),
  element("div", { class: "middle" }, network, makeDetail(), makeLayers()));
document.getElementById("title").after(makeAgreement());
document.getElementById("footer").append(
  hint(() => text("madeBy", { version: data.nncore, dtype: model.dtype })));
onLanguage(stateChanged);
setLanguage(language);

// For tests, and for those who look behind the page with the browser's console.
window.nncore = {
  data, model, state, run, terms, prepared, activate, ACTIVATIONS, ARITHMETIC, curve, readNetwork, TEXTS,
};
