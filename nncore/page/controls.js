// Step, step back, play: the controls of the computation, and the line that says what was computed.

const SPEEDS = { slow: 1600, normal: 800, fast: 200 }; // milliseconds a step

const playing = { timer: null, pace: SPEEDS.normal };

function makeControls() {
  const control = (key, move) => button(key, () => {
    stopPlaying();
    move();
  });
  const reset = control("reset", () => goTo(0));
  const back = control("back", () => goTo(state.position - 1));
  const play = element("button", { type: "button", class: "main", onclick: togglePlaying });
  const step = control("step", () => goTo(state.position + 1));
  const layer = control("nextLayer", goToNextLayer);
  const all = control("computeAll", () => goTo(stepCount()));
  const paces = Object.keys(SPEEDS).map((name) => told(element("option", { value: name }), name));
  const pace = element("select", { id: "pace", onchange: () => setPace(SPEEDS[pace.value]) }, ...paces);
  pace.value = "normal";
  const progress = element("progress", { max: 1, value: 0 });
  toldLabel(progress, "progress");
  let { input } = state;
  const line = element("p", { class: "status", id: "status", role: "status" });

  onState(() => {
    const [position, count] = [state.position, stepCount()];
    if (position === count) stopPlaying();
    reset.disabled = back.disabled = position === 0;
    step.disabled = layer.disabled = all.disabled = position === count;
    if (document.activeElement.disabled) play.focus(); // so that the keyboard is not lost
    play.textContent = text(playing.timer ? "pause" : position === count ? "playAgain" : "play");
    progress.max = count;
    progress.value = position;
    // A screen reader is told each step, but while the network plays, or a digit is drawn, it would
    // be told too much.
    line.setAttribute("aria-live", playing.timer || state.input !== input ? "off" : "polite");
    input = state.input;
    if (line.textContent !== stepText()) line.textContent = stepText();
  });
  return element("div", { class: "controls" },
    element("div", { class: "buttons" }, reset, back, play, step, layer, all,
      element("span", { class: "pace" }, told(element("label", { for: "pace" }), "speed"), pace)),
    progress, line);
}

function togglePlaying() {
  if (playing.timer) stopPlaying();
  else {
    if (state.position === stepCount()) state.position = 0;
    startPlaying();
    goTo(state.position + 1);
  }
  stateChanged();
}

function startPlaying() {
  playing.timer = setInterval(() => goTo(state.position + 1), playing.pace);
}

function stopPlaying() {
  clearInterval(playing.timer);
  playing.timer = null;
}

function setPace(pace) {
  playing.pace = pace;
  if (!playing.timer) return;
  stopPlaying();
  startPlaying();
}

function stepText() {
  const step = stepAt(state.position);
  if (step === null) return text("nothingComputed");
  const { kind, column, node } = step;
  const { layer, shown, size } = columns[column];
  const { activation } = layer;
  const values = { position: state.position, count: stepCount(), layer: layerName(column), activation };
  if (kind === "rest") return text("restComputed", { ...values, others: size - shown.length });
  if (kind === "shares") return text("sharesComputed", values);
  values.node = node + 1;
  values.sum = shownNumber(sumsOf(column)[node]);
  values.value = shownNumber(valuesOf(column)[node]);
  return text(sharesOut(layer) ? "sumComputed" : "nodeComputed", values);
}
