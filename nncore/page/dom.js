// Makes elements. Every text becomes a text node, never markup: names of files, of classes and of
// layers come from others.

const SVG = "http://www.w3.org/2000/svg";

// element("button", { type: "button", class: "step", onclick: next }, "Step")
// Attributes that are functions are listeners, those that are null, undefined or false are left out.
function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
