// Begins: reads the data and builds the page.

const data = JSON.parse(document.getElementById("data").textContent);
const model = readNetwork(data);

// For tests, and for those who look behind the page with the browser's console.
window.nncore = { data, model, run, terms, prepared, activate, ACTIVATIONS, ARITHMETIC, curve, readNetwork };
