// The screen "Training, live": a small net learns a toy set while its loss, kernels and maps are watched.

const RATES = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30];
const BATCHES = [1, 2, 4, 8, 16, 32, 64];
const MOMENTA = [0, 0.5, 0.8, 0.9, 0.95];
const KNOBS = { rate: RATES, momentum: MOMENTA, batch: BATCHES };
const USUAL = { rate: 0.1, momentum: 0.8, batch: 16 };
const LAST_STEP = 1000;
const CHART_ENDS = [100, 200, 500, LAST_STEP]; // steps across the chart: as many as the run needs
const CHART_TOP = 2.2 * GUESSING;
const FRAME_MS = 8; // of computing between two drawings
const STEPS_A_FRAME = 2; // or it would be over before one has seen it
const STEPS_A_PRESS = 25; // instead of playing, where motion is unwelcome
const MEAN_OVER = 0.9; // the thick curve: 0.9 · mean before + 0.1 · loss
const SHOWN_PICTURES = 12;
const MOST_TURNS = 40; // of knobs in the middle of a run that an address tells
const MEASURE_EVERY = 10; // steps between two counts of right answers, while it plays

const live = {
  ...USUAL, seed: 0, picture: 0, data: null, run: null, start: USUAL, turns: [],
  history: [], before: [], right: 0, measuredAt: -1, playing: false, frame: 0, until: LAST_STEP, hurry: false,
};
const liveIds = {};
const drawLiveSoon = oncePerFrame(drawLive);

function startLive() {
  for (const node of document.querySelectorAll("[id^=live-]")) liveIds[node.id.slice(5)] = node;
  liveIds.play.addEventListener("click", pressPlay);
  liveIds.next.addEventListener("click", () => stepBy(1));
  liveIds.again.addEventListener("click", () => beginAgain(live.seed));
  liveIds.other.addEventListener("click", () => beginAgain((live.seed + 1) % 1000));
  for (const [name, values] of Object.entries(KNOBS)) {
    Object.assign(liveIds[name], { min: 0, max: values.length - 1, step: 1 });
    liveIds[name].addEventListener("input", () => turnKnob(name, values[Number(liveIds[name].value)]));
  }
  buildTiles();
  matchMedia("(prefers-reduced-motion: reduce)").addEventListener("change", () => {
    pauseLive();
    drawLiveSoon();
  });
  watchSize(liveIds.chart, drawLiveSoon);
  addScreen({ name: "live", draw: drawLive, write: writeLive, read: readLive });
}

function buildTiles() {
  for (let i = 0; i < SHOWN_PICTURES; i++) {
    const button = element("button", { type: "button", className: "thumb" }, element("canvas", { className: "tile" }), element("span"));
    button.firstChild.setAttribute("aria-hidden", "true");
    button.addEventListener("click", () => {
      live.picture = i;
      drawLiveSoon();
      writeAddress();
    });
    liveIds.pictures.append(button);
  }
  for (let i = 0; i < NET.kernels; i++) {
    liveIds.kernels.append(element("canvas", { className: "tile frame-kernel" }));
    liveIds.maps.append(element("canvas", { className: "tile frame-output" }));
  }
  for (const name of STROKES.classes) {
    liveIds.answer.append(element("div", {}, element("dt", {}, say(`live.class.${name}`)), element("dd", {}, element("i"), element("b"))));
  }
}

// ---- The run

function beginAgain(seed) {
  pauseLive();
  if (live.history.length) live.before = seed === live.seed ? live.history : [];
  setUpRun(seed);
  drawLiveSoon();
  writeAddress();
}

// With the settings of the moment, or those that `turns` brings in the middle of the run: [{ step, name, value }].
function setUpRun(seed, turns = []) {
  if (!live.data || seed !== live.seed) live.data = trainingData(seed);
  const start = { rate: live.rate, momentum: live.momentum, batch: live.batch };
  Object.assign(live, { seed, start, turns, run: startTraining(seed), history: [], measuredAt: -1, until: LAST_STEP, hurry: false });
}

// A setting counts from the next step on, and what was to be turned later is not.
function turnKnob(name, value) {
  const { step } = live.run;
  live[name] = value;
  live.turns = live.turns.filter((turn) => turn.step < step || (turn.step === step && turn.name !== name));
  if (step > 0) live.turns.push({ step, name, value });
  else live.start[name] = value;
  drawLiveSoon();
  writeAddress();
}

function isOver() {
  return live.run.diverged || live.run.step >= LAST_STEP;
}

function learn() {
  live.run = trainStep(live.run, live, live.data.train);
  const { loss, step } = live.run;
  const mean = step > 1 ? MEAN_OVER * live.history[step - 2].mean + (1 - MEAN_OVER) * loss : loss;
  live.history.push({ loss, mean });
  for (const turn of live.turns) if (turn.step === step) live[turn.name] = turn.value;
}

function stepBy(count) {
  pauseLive();
  for (let i = 0; i < count && !isOver(); i++) learn();
  drawLiveSoon();
  writeAddress();
}

function motionUnwelcome() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

function pressPlay() {
  if (motionUnwelcome()) return stepBy(STEPS_A_PRESS);
  if (live.playing) return pauseLive();
  playLive(LAST_STEP, false);
}

function playLive(until, hurry) {
  cancelAnimationFrame(live.frame);
  Object.assign(live, { playing: true, until, hurry, frame: requestAnimationFrame(playFrame) });
  drawLiveSoon();
}

function pauseLive() {
  if (!live.playing) return;
  live.playing = false;
  drawLiveSoon();
  writeAddress();
}

// Learns for a moment, then draws, so that the page never stutters.
function playFrame() {
  if (!live.playing) return;
  if (byId("screen-live").hidden) return pauseLive();
  const start = performance.now();
  for (let i = 0; (live.hurry || i < STEPS_A_FRAME) && live.run.step < live.until && !isOver(); i++) {
    learn();
    if (performance.now() - start > FRAME_MS) break;
  }
  if (isOver() || live.run.step >= live.until) return pauseLive();
  if (!live.hurry) drawLive();
  live.frame = requestAnimationFrame(playFrame);
}

// ---- Drawing

function drawLive() {
  if (byId("screen-live").hidden) return;
  measureRight();
  drawLossChart();
  writeReadings();
  drawPictures();
  drawInside();
}

function measureRight() {
  const { step, weights } = live.run;
  const since = step - live.measuredAt;
  if (since === 0 || (live.playing && live.measuredAt >= 0 && since < MEASURE_EVERY)) return;
  live.right = shareRight(weights, live.data.test);
  live.measuredAt = step;
}

function writeReadings() {
  const { run, playing } = live;
  liveIds.step.textContent = run.step;
  liveIds.loss.textContent = run.loss === null ? "–" : lossText(run.loss);
  liveIds.right.textContent = `${Math.round(100 * live.right)} %`;
  liveIds.play.textContent = say(motionUnwelcome() ? "live.many" : playing ? "live.pause" : "live.play", { count: STEPS_A_PRESS });
  liveIds.play.disabled = liveIds.next.disabled = isOver();
  for (const [name, values] of Object.entries(KNOBS)) {
    liveIds[name].value = values.indexOf(live[name]);
    liveIds[`${name}-value`].textContent = live[name];
    liveIds[name].setAttribute("aria-valuetext", live[name]);
  }
  writeStatus();
}

function lossText(loss) {
  return Number.isFinite(loss) ? shown(loss) : say("live.loss.endless");
}

// What can be said of the run, in a sentence; while it plays nothing new is said.
function writeStatus() {
  const { run } = live;
  const values = { step: run.step, loss: lossText(run.loss || 0), guessing: shown(GUESSING), right: liveIds.right.textContent };
  const dead = !run.diverged && isDead();
  const name = run.diverged ? "diverged" : dead ? "dead" : run.step >= LAST_STEP ? "over" : run.step === 0 ? "new" : "going";
  const text = say(`live.status.${name}`, values);
  liveIds.status.classList.toggle("message", run.diverged || dead);
  if (liveIds.status.textContent !== text) liveIds.status.textContent = text;
}

// Whether no kernel finds anything in any picture shown: a ReLU that is 0 everywhere passes no slope on.
function isDead() {
  const { pictures } = live.data.test;
  return pictures.slice(0, SHOWN_PICTURES).every((picture) => !forwardPass(live.run.weights, picture).maps.data.some((value) => value > 0));
}

function drawLossChart() {
  const { context, width, height } = prepare(liveIds.chart);
  const { history, before, run } = live;
  const end = CHART_ENDS.find((steps) => steps >= Math.max(history.length, before.length));
  const across = (step) => (step / end) * width;
  const down = (loss) => 12 + (1 - clamp(Number.isFinite(loss) ? loss / CHART_TOP : 1, 0, 1)) * (height - 14);
  const line = (points, name, thickness, dash = []) => {
    context.beginPath();
    points.forEach(([step, loss], i) => (i ? context.lineTo(across(step), down(loss)) : context.moveTo(across(step), down(loss))));
    context.setLineDash(dash);
    context.lineWidth = thickness;
    context.strokeStyle = colour(name);
    context.stroke();
    context.setLineDash([]);
  };
  line([[0, GUESSING], [end, GUESSING]], "quiet", 1, [2, 4]);
  line(before.map(({ mean }, i) => [i + 1, mean]), "quiet", 1.5, [7, 5]);
  line(history.map(({ loss }, i) => [i + 1, loss]), "quiet", 1);
  line(history.map(({ mean }, i) => [i + 1, mean]), "ink", 3);
  context.font = "14px system-ui, sans-serif";
  context.fillStyle = colour("quiet");
  context.textAlign = "right";
  context.fillText(say("live.chart.guessing", { loss: shown(GUESSING) }), width - 6, down(GUESSING) - 6);
  context.fillText(say("live.chart.steps", { count: end }), width - 6, height - 6);
  if (run.diverged) markDiverged(context, across(run.step), width, down(Infinity));
  const spoken = { step: run.step, loss: history.length ? lossText(history.at(-1).mean) : "–" };
  liveIds.chart.setAttribute("aria-label", say(run.diverged ? "live.chart.diverged" : "live.chart.label", spoken));
}

// A cross where the curve left the chart.
function markDiverged(context, x, width, top) {
  const [left, y] = [clamp(x, 10, width - 10), top + 2];
  context.strokeStyle = context.fillStyle = colour("kernel");
  context.lineWidth = 3;
  context.beginPath();
  for (const side of [-1, 1]) {
    context.moveTo(left - 7, y - 7 * side);
    context.lineTo(left + 7, y + 7 * side);
  }
  context.moveTo(left, y);
  context.lineTo(left, context.canvas.clientHeight);
  context.stroke();
  context.textAlign = x > width / 2 ? "right" : "left";
  context.font = "600 15px system-ui, sans-serif";
  context.fillText(say("live.chart.left"), left + (x > width / 2 ? -14 : 14), y + 5);
}

function paintTile(canvas, values, side, range) {
  if (canvas.width !== side) canvas.width = canvas.height = side;
  canvas.getContext("2d").putImageData(greyImage(values, side, side, range), 0, 0);
}

// Each picture with what the net says of it.
function drawPictures() {
  [...liveIds.pictures.children].forEach((button, i) => {
    const picture = live.data.test.pictures[i];
    const target = live.data.test.targets[i];
    const answer = answerOf(live.run.weights, picture);
    const name = say(`live.class.${STROKES.classes[answer]}`);
    paintTile(button.firstChild, picture.data, STROKES.side, { low: 0, high: 1 });
    button.lastChild.textContent = `${answer === target ? "✓" : "✗"} ${name}`;
    const truth = say(`live.class.${STROKES.classes[target]}`);
    button.setAttribute("aria-label", say(answer === target ? "live.picture.right" : "live.picture.wrong", { number: i + 1, name, truth }));
    button.setAttribute("aria-pressed", i === live.picture);
  });
}

function drawInside() {
  const { side } = STROKES;
  const { weights } = live.run;
  const picture = live.data.test.pictures[live.picture];
  const { maps, logits } = forwardPass(weights, picture);
  paintTile(liveIds.picture, picture.data, side, { low: 0, high: 1 });
  const kernelRange = symmetricRange(weights.kernel.data);
  const mapRange = valueRange(maps.data);
  for (let i = 0; i < NET.kernels; i++) {
    paintTile(liveIds.kernels.children[i], weights.kernel.data.subarray(9 * i, 9 * i + 9), 3, kernelRange);
    paintTile(liveIds.maps.children[i], maps.data.subarray(i * side ** 2, (i + 1) * side ** 2), side, mapRange);
  }
  liveIds.kernels.setAttribute("aria-label", say("live.kernels.label", { count: NET.kernels, high: shown(kernelRange.high) }));
  liveIds.maps.setAttribute("aria-label", say("live.maps.label", { count: NET.kernels, high: shown(mapRange.high) }));
  softmax(logits).data.forEach((share, i) => {
    const [bar, value] = liveIds.answer.children[i].lastChild.children;
    bar.style.width = `${60 * share}%`;
    value.textContent = `${Math.round(100 * share)} %`;
    liveIds.answer.children[i].classList.toggle("truth", i === live.data.test.targets[live.picture]);
  });
}

// ---- Address

// A run of which too much was turned is told by its settings alone, and begins anew.
function writeLive() {
  const { rate, momentum, batch, start, turns, seed, picture, run } = live;
  if (turns.length > MOST_TURNS) return { rate, momentum, batch, seed, picture, step: 0 };
  const state = { ...start, seed, picture, step: run.step };
  if (turns.length) state.turned = turns.map(({ step, name, value }) => [step, name, value].join("-")).join("_");
  return state;
}

// A run of the same seed, settings and turns is the same run: it is learned anew up to the step of the address.
function readLive(state) {
  live.playing = false;
  for (const [name, values] of Object.entries(KNOBS)) {
    const value = Number(state.get(name) || NaN);
    live[name] = values.includes(value) ? value : USUAL[name];
  }
  live.picture = numberIn(state, "picture", 0, 0, SHOWN_PICTURES - 1);
  live.before = [];
  const step = numberIn(state, "step", 0, 0, LAST_STEP);
  setUpRun(numberIn(state, "seed", 0, 0, 999), readTurns(state.get("turned") || "").filter((turn) => turn.step <= step));
  if (step > 0) playLive(step, true);
}

function readTurns(text) {
  const turns = text.split("_").slice(0, MOST_TURNS).map((turn) => {
    const [step, name, value] = turn.split("-");
    return { step: Number(step), name, value: Number(value) };
  });
  return turns.filter(({ step, name, value }) => Number.isInteger(step) && step > 0 && Object.hasOwn(KNOBS, name) && KNOBS[name].includes(value));
}
