// An activation function drawn as a curve, with the point of one sum on it.

const PLOT = { width: 340, height: 210, left: 44, right: 14, top: 14, bottom: 24 };
const SAMPLES = 240;

// curvePlot(layer, 0.3): the picture; it is described in words beside it.
function curvePlot(layer, sum) {
  const { alpha, beta } = layer;
  const bounds = layer.activation === "clip" ? [1.3 * alpha, 1.3 * beta] : [];
  const reach = Math.max(...[7, 1.15 * sum, ...bounds].map(Math.abs).filter(Number.isFinite));
  const points = sampled(layer, reach);
  const value = curve(model, layer, sum);
  const heights = [...points.map(([, y]) => y), value, 0].filter(Number.isFinite);
  const [low, high] = [Math.min(...heights), Math.max(...heights)];
  const space = 0.08 * (high - low) || 1;
  const across = (x) => PLOT.left + ((x + reach) / (2 * reach)) * (PLOT.width - PLOT.left - PLOT.right);
  const up = (y) => PLOT.height - PLOT.bottom
    - ((y - low + space) / (high - low + 2 * space)) * (PLOT.height - PLOT.top - PLOT.bottom);
  return drawn("svg", { class: "plot", viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, "aria-hidden": "true" },
    ...axes({ reach, low, high, across, up }),
    drawn("path", { class: "curve", d: pathOf(points, layer, across, up) }),
    ...(Number.isFinite(sum) && Number.isFinite(value) ? pointAt(sum, value, across, up) : []));
}

function sampled(layer, reach) {
  const points = [];
  for (let i = 0; i <= SAMPLES; i++) {
    const x = reach * ((2 * i) / SAMPLES - 1);
    points.push([x, curve(model, layer, x)]);
  }
  return points;
}

// The jump of step is no part of its curve.
function pathOf(points, layer, across, up) {
  return points.map(([x, y], i) => {
    const jumps = i === 0 || (layer.activation === "step" && y !== points[i - 1][1]);
    return `${jumps ? "M" : "L"}${across(x).toFixed(1)} ${up(y).toFixed(1)}`;
  }).join("");
}

function axes({ reach, low, high, across, up }) {
  const [left, right, bottom] = [PLOT.left, PLOT.width - PLOT.right, PLOT.height - PLOT.bottom];
  const line = (x1, y1, x2, y2) => drawn("line", { x1, y1, x2, y2, class: "axis" });
  const label = (x, y, anchor, number) =>
    drawn("text", { x, y, "text-anchor": anchor, class: "muted" }, shownNumber(number, 2));
  return [
    line(left, up(0), right, up(0)),
    line(across(0), PLOT.top, across(0), bottom),
    label(left, bottom + 16, "start", -reach),
    label(across(0), bottom + 16, "middle", 0),
    label(right, bottom + 16, "end", reach),
    ...[...new Set([low, 0, high])].map((y) => label(left - 8, up(y) + 4, "end", y)),
  ];
}

function pointAt(sum, value, across, up) {
  const [x, y] = [across(sum), up(value)];
  return [
    drawn("path", { class: "guide", d: `M${x} ${up(0)}V${y}H${across(0)}` }),
    drawn("circle", { class: "point", cx: x, cy: y, r: 5.5 }),
  ];
}
