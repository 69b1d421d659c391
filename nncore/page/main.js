// Begins: reads the data and builds the page.

const data = JSON.parse(document.getElementById("data").textContent);
