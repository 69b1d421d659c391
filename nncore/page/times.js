// The times that were measured one by one and in batches, as a chart and as a table.

function timesPart({ timings, passes }) {
  if (!timings.length) return null;
  const alone = timings.find((way) => way.batch_size === null);
  const batched = timings.filter((way) => way !== alone);
  const best = batched.reduce((one, other) => (other.seconds_per_sample < one.seconds_per_sample ? other : one));
  const summary = text("timesSummary", {
    alone: duration(alone.seconds_per_sample),
    best: duration(best.seconds_per_sample),
    size: localNumber(best.batch_size),
    ratio: localNumber(alone.seconds_per_sample / best.seconds_per_sample, 2),
  });
  return resultPart("times", `${summary} ${text("timesNote", { passes })}`,
    element("div", { class: "columns" }, timesChart(alone, batched), timesTable(alone, timings)));
}

function duration(seconds, options = { minimumFractionDigits: 2, maximumFractionDigits: 2 }) {
  const [unit, factor] = seconds >= 1e-3 ? ["ms", 1e3] : seconds >= 1e-7 ? ["µs", 1e6] : ["ns", 1e9];
  return `${(factor * seconds).toLocaleString(language, options)} ${unit}`;
}

function wayName({ batch_size: size }) {
  return size === null ? text("timesAlone") : text("timesBatch", { size: localNumber(size) });
}

function timesTable(alone, timings) {
  const rows = timings.map((way) => {
    const seconds = way.seconds_per_sample;
    const ratio = localNumber(alone.seconds_per_sample / seconds, 2);
    return [wayName(way), duration(seconds), localNumber(1 / seconds), `${ratio}×`];
  });
  const headings = ["timesWay", "timesTime", "timesRate", "timesSpeedUp"].map((key) => text(key));
  return resultTable("times", headings, rows);
}

// Marks of a logarithmic axis, from below `least` to above `most`: 1, 1.5, 2, 3, ... times the powers
// of ten for a short axis, only the powers of ten for a long one.
function logTicks(least, most) {
  let found = [];
  for (const digits of [[1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 5], [1]]) {
    const ticks = [];
    for (let power = Math.floor(Math.log10(least)); power <= Math.log10(most) + 1; power++) {
      ticks.push(...digits.map((digit) => digit * 10 ** power));
    }
    const first = Math.max(ticks.findIndex((tick) => tick > least) - 1, 0);
    const last = ticks.findIndex((tick, place) => place > first && tick >= most);
    found = ticks.slice(first, last + 1);
    if (found.length <= 7) return found;
  }
  return found;
}

const TIMES = { width: 360, height: 250, left: 54, right: 338, top: 12, bottom: 204 };

function timesChart(alone, batched) {
  const { width, height, left, right, top, bottom } = TIMES;
  const seconds = [alone, ...batched].map((way) => way.seconds_per_sample);
  const ticks = logTicks(Math.min(...seconds), Math.max(...seconds));
  const along = (value, first, last) => Math.log(value / first) / Math.log(last / first);
  const y = (time) => bottom - (bottom - top) * along(time, ticks[0], ticks.at(-1));
  // Ten at least: an axis from 1 to 1 has no length.
  const largest = Math.max(10, ...batched.map((way) => way.batch_size));
  const points = batched.map((way) => ({
    x: left + (right - left) * along(way.batch_size, 1, largest), y: y(way.seconds_per_sample), way,
  }));
  const level = y(alone.seconds_per_sample);
  const label = level < points.at(-1).y ? level - 7 : level + 16; // on the side where no line is
  const rule = (place, kind) => drawn("path", { class: kind, d: `M${left} ${place}H${right}` });
  const words = (x, y, anchor, shown) => drawn("text", { x, y, "text-anchor": anchor }, shown);
  return drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": text("timesChart") },
    ...ticks.map((tick) => rule(y(tick), "grid")),
    ...ticks.map((tick) => words(left - 8, y(tick) + 4, "end", duration(tick, { maximumSignificantDigits: 3 }))),
    ...apart(points).map(({ x, way }) => words(x, bottom + 18, "middle", localNumber(way.batch_size))),
    words((left + right) / 2, bottom + 40, "middle", text("timesSizes")),
    rule(level, "alone"),
    drawn("polyline", { points: points.map(({ x, y }) => `${x},${y}`).join(" ") }),
    words(right, label, "end", `${wayName(alone)}: ${duration(alone.seconds_per_sample)}`),
    ...points.map(({ x, y, way }) => drawn("circle", { cx: x, cy: y, r: 4 },
      drawn("title", {}, `${wayName(way)}: ${duration(way.seconds_per_sample)}`))));
}

// The points whose labels on the axis do not touch each other, the last one in any case.
function apart(points) {
  const kept = [];
  for (const point of [...points].reverse()) {
    if (!kept.length || kept[0].x - point.x >= 36) kept.unshift(point);
  }
  return kept;
}
