// The results on a test set, below the network: accuracy, confusion matrix, the most confident
// mistakes, the rates of each class, and the times (times.js). Without results it draws nothing.
//
// A mistake that the reader chooses goes into the network above by showInput(values).

if (data.results) {
  const section = element("section", { id: "results", "aria-labelledby": "results-title" });
  const mistakes = mistakesPart(data.results);
  document.getElementById("main").append(section);
  onLanguage(() => section.replaceChildren(
    resultFacts(data.results),
    matrixPart(data.results),
    ratesPart(data.results),
    mistakes(),
    timesPart(data.results),
  ));
}

// 9918 as "9,918": with the marks of the language in use.
function localNumber(number, digits = 0) {
  return number.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

// Part of a whole as "99.18 %".
function rateOf(part, whole) {
  return whole ? shownPercent(part / whole) : "–";
}

function sumOf(numbers) {
  return numbers.reduce((sum, number) => sum + number, 0);
}

function resultFacts({ matrix, is_mnist, machine, threads, same_bits }) {
  const images = sumOf(matrix.flat());
  const right = sumOf(matrix.map((row, actual) => row[actual]));
  const accuracy = text("resultsRight", { right: localNumber(right), count: localNumber(images) });
  const dataset = text(is_mnist ? "resultsMnist" : "resultsDrawn", { count: localNumber(images) });
  const bits = text(same_bits ? "resultsSame" : "resultsDifferent");
  return element("div", { class: "card facts" },
    element("h2", { id: "results-title" }, text("results")),
    element("p", { class: "accuracy" }, element("strong", {}, rateOf(right, images)), " ", accuracy),
    element("dl", {},
      element("dt", {}, text("resultsData")), element("dd", {}, dataset),
      element("dt", {}, text("resultsMachine")),
      element("dd", {}, text("resultsMachineText", { ...machine, threads })),
      element("dt", {}, text("resultsBits")), element("dd", { class: !same_bits && "alarm" }, bits)));
}

// A part of the results: its title, what is to be known about it, and what it shows.
function resultPart(name, note, ...children) {
  return element("section", { class: `card ${name}`, "aria-labelledby": `${name}-title` },
    element("h3", { id: `${name}-title` }, text(`${name}Title`)), element("p", {}, note), ...children);
}

// resultTable("rates", [headings], [[name of the row, ...cells]]): the cells are texts or elements.
// It may be wider than a phone: then its frame scrolls, which is why the keyboard can reach it.
function resultTable(name, headings, rows, above = null) {
  const table = element("table", {},
    element("thead", {}, above,
      element("tr", {}, ...headings.map((words) => element("th", { scope: "col" }, words)))),
    element("tbody", {}, ...rows.map(([first, ...cells]) => element("tr", {},
      element("th", { scope: "row" }, first),
      ...cells.map((cell) => (cell instanceof Node ? cell : element("td", {}, cell)))))));
  return element("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": text(`${name}Title`) }, table);
}

function matrixPart({ matrix, names }) {
  const rows = matrix.map((row, actual) => {
    const images = sumOf(row);
    return [names[actual], ...row.map((number, predicted) => {
      // Mistakes are rare: with this exponent, a share of one in a thousand is visible.
      const shade = number && (number / images) ** 0.3;
      const kind = number === 0 ? "zero" : actual === predicted ? "positive" : "negative";
      return element("td", { class: kind, style: `--share: ${shade.toFixed(3)}` }, number);
    })];
  });
  const above = element("tr", {}, element("td"),
    element("th", { scope: "colgroup", colspan: names.length }, text("resultPredicted")));
  return resultPart("matrix", text("matrixNote"),
    resultTable("matrix", [text("resultActual"), ...names], rows, above));
}

function ratesPart({ matrix, names }) {
  const rows = names.map((name, index) => {
    const actual = sumOf(matrix[index]);
    const predicted = sumOf(matrix.map((row) => row[index]));
    const right = matrix[index][index];
    return [name, localNumber(actual), rateOf(right, predicted), rateOf(right, actual)];
  });
  const headings = ["rateClass", "rateImages", "ratePrecision", "rateRecall"].map((key) => text(key));
  return resultPart("rates", text("ratesNote"), resultTable("rates", headings, rows));
}

// Returns the function that makes this part in the language in use; the chosen mistake stays chosen.
function mistakesPart({ mistakes, images, names, probabilities, divisor }) {
  const bytes = Uint8Array.from(atob(images), (character) => character.charCodeAt(0));
  const size = bytes.length / mistakes.length;
  const status = element("p", { role: "status" });
  let chosen = null;
  let buttons = [];

  function tell() {
    status.textContent = chosen ? text("mistakesLoaded", chosen.words) : "";
    buttons.forEach((button, place) => button.setAttribute("aria-pressed", mistakes[place] === chosen));
  }

  function tile(mistake, place) {
    const pixels = bytes.subarray(place * size, (place + 1) * size);
    const { index, actual, predicted, output } = mistake;
    const value = output === null ? "–" : probabilities ? shownPercent(output) : localNumber(output, 3);
    mistake.words = { index, actual: names[actual], predicted: names[predicted], value };
    function choose() {
      chosen = mistake;
      tell();
      // The kernels are given float32 pixels, too.
      showInput(Array.from(pixels, (byte) => Math.fround(byte / divisor)));
      document.getElementById("main").scrollIntoView({ behavior: glide() });
    }
    return element("button", { type: "button", onclick: choose },
      element("img", { src: imageOf(pixels, data.image, [0, 255]), alt: "" }),
      element("span", {}, `${text("resultActual")} ${names[actual]}`),
      element("span", {}, `${text("resultPredicted")} ${names[predicted]}`),
      element("span", {}, value));
  }

  return () => {
    if (!mistakes.length) return resultPart("mistakes", text("mistakesNone"));
    buttons = mistakes.map(tile);
    tell();
    const note = text(probabilities ? "mistakesNote" : "mistakesOutputs");
    return resultPart("mistakes", `${note} ${text("mistakesHint")}`,
      element("ul", {}, ...buttons.map((button) => element("li", {}, button))), status);
  };
}
