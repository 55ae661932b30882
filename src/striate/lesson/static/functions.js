// The screen "Functions": curves with their slope at a point to drag, and where pooling sends a gradient.

const CURVES = {
  relu: { low: -4, high: 4, of: (x) => Math.max(x, 0), slope: (x) => (x > 0 ? 1 : 0) },
  sigmoid: { low: -6, high: 6, of: sigmoidOf, slope: (x) => sigmoidOf(x) * (1 - sigmoidOf(x)) },
  tanh: { low: -4, high: 4, of: Math.tanh, slope: (x) => 1 - Math.tanh(x) ** 2 },
  linear: { low: -4, high: 4, of: (x) => x, slope: () => 1 },
  squared: { low: -2, high: 2, of: (x) => x * x, slope: (x) => 2 * x },
  entropy: { low: -6, high: 6, of: (x) => Math.log1p(Math.exp(-Math.abs(x))) + Math.max(-x, 0), slope: (x) => sigmoidOf(x) - 1 },
};
const POOL_SIDE = 4;
const POOL_START = [1, 3, 0, 2, 4, 2, 5, 1, 0, 1, 2, 2, 6, 3, 1, 7];

const functionState = { curve: "relu", x: 1, pool: "max", cell: 0, values: POOL_START.slice(), frame: null };
const functionIds = {};
const drawFunctionsSoon = oncePerFrame(drawFunctions);

function startFunctions() {
  for (const node of document.querySelectorAll("[id^=func-]")) functionIds[node.id.slice(5)] = node;
  for (const name of Object.keys(CURVES)) {
    const button = element("button", { type: "button" }, say(`func.${name}`));
    button.dataset.curve = name;
    button.addEventListener("click", () => changeFunction({ curve: name }));
    functionIds.curves.append(button);
  }
  functionIds.x.addEventListener("input", () => changeFunction({ x: Number(functionIds.x.value) }));
  let dragging = false;
  functionIds.chart.addEventListener("pointerdown", (event) => {
    dragging = true;
    functionIds.chart.setPointerCapture(event.pointerId);
    dragPoint(event);
  });
  functionIds.chart.addEventListener("pointermove", (event) => dragging && dragPoint(event));
  for (const end of ["pointerup", "pointercancel"]) functionIds.chart.addEventListener(end, () => (dragging = false));
  const [largest, mean] = functionIds.pools.querySelectorAll("button");
  largest.addEventListener("click", () => changeFunction({ pool: "max" }));
  mean.addEventListener("click", () => changeFunction({ pool: "avg" }));
  buildPooling();
  watchSize(functionIds.chart, drawFunctionsSoon);
  addScreen({ name: "functions", draw: drawFunctions, write: writeFunctions, read: readFunctions });
}

function changeFunction(changes) {
  Object.assign(functionState, changes);
  const { low, high } = CURVES[functionState.curve];
  functionState.x = clamp(functionState.x, low, high);
  drawFunctionsSoon();
  writeAddress();
}

function dragPoint(event) {
  const { low, high } = CURVES[functionState.curve];
  const box = functionIds.chart.getBoundingClientRect();
  const x = low + ((event.clientX - box.left) / box.width) * (high - low);
  changeFunction({ x: Math.round(20 * x) / 20 });
}

function drawFunctions() {
  if (byId("screen-functions").hidden) return;
  const { curve, x } = functionState;
  const { low, high, of, slope } = CURVES[curve];
  Object.assign(functionIds.x, { min: low, max: high, step: 0.05 });
  functionIds.x.value = x;
  functionIds["x-value"].textContent = shown(x);
  functionIds["y-value"].textContent = shown(of(x));
  functionIds["slope-value"].textContent = shown(slope(x));
  functionIds.about.textContent = say(`func.${curve}.about`);
  functionIds.sentence.textContent = say("func.sentence", { change: shown(0.1 * slope(x)) });
  functionIds.chart.setAttribute("aria-label", say("func.chart.label", { name: say(`func.${curve}`), x: shown(x), y: shown(of(x)), slope: shown(slope(x)) }));
  press(functionIds.curves, (button) => button.dataset.curve === curve);
  drawChart(CURVES[curve], x);
  drawPooling();
}

// The curve in green, its slope dashed, the tangent at the point.
function drawChart({ low, high, of, slope }, x) {
  const { context, width, height } = prepare(functionIds.chart);
  const samples = Array.from({ length: 161 }, (_, i) => low + ((high - low) * i) / 160);
  const values = samples.flatMap((at) => [of(at), slope(at)]);
  const [bottom, top] = [Math.min(0, ...values), Math.max(0, ...values)];
  const room = 0.08 * (top - bottom);
  const across = (at) => ((at - low) / (high - low)) * width;
  const down = (value) => height - ((value - bottom + room) / (top - bottom + 2 * room)) * height;
  const path = (points, name, lineWidth, dash = []) => {
    context.beginPath();
    points.forEach(([at, value], i) => (i ? context.lineTo(across(at), down(value)) : context.moveTo(across(at), down(value))));
    context.setLineDash(dash);
    context.lineWidth = lineWidth;
    context.strokeStyle = colour(name);
    context.stroke();
    context.setLineDash([]);
  };
  path([[low, 0], [high, 0]], "quiet", 1);
  path([[0, bottom - room], [0, top + room]], "quiet", 1);
  path(samples.map((at) => [at, slope(at)]), "ink", 1.5, [6, 5]);
  path(samples.map((at) => [at, of(at)]), "output", 3.5);
  const reach = (high - low) * 0.14;
  path([[x - reach, of(x) - reach * slope(x)], [x + reach, of(x) + reach * slope(x)]], "kernel", 2.5);
  path([[x, 0], [x, of(x)]], "picture", 2.5);
  context.fillStyle = colour("output");
  context.strokeStyle = colour("paper");
  context.lineWidth = 2;
  context.beginPath();
  context.arc(across(x), down(of(x)), 9, 0, 2 * Math.PI);
  context.fill();
  context.stroke();
  context.fillStyle = colour("quiet");
  context.font = "14px system-ui, sans-serif";
  context.textAlign = "left";
  context.fillText(shown(low), 4, down(0) - 6);
  context.textAlign = "right";
  context.fillText(shown(high), width - 4, down(0) - 6);
  context.fillText(shown(top), across(0) - 6, down(top) + 5);
}

// ---- Pooling

function buildPooling() {
  const rows = Array.from({ length: POOL_SIDE }, (_, row) =>
    element("tr", {}, ...Array.from({ length: POOL_SIDE }, (_, column) => {
      const place = row * POOL_SIDE + column;
      const input = element("input", { type: "text", inputMode: "text", autocomplete: "off", "aria-label": say("func.pool.pixel", { row: row + 1, column: column + 1 }) });
      input.addEventListener("input", () => {
        const value = parseNumber(input.value);
        input.setAttribute("aria-invalid", value === null);
        if (value === null) return;
        functionState.values[place] = value;
        drawPooling();
        writeAddress();
      });
      return element("td", {}, input, element("small", {}));
    })),
  );
  functionIds["pool-input"].replaceChildren(element("tbody", {}, ...rows));
  const outputs = [0, 1].map((row) =>
    element("tr", {}, ...[0, 1].map((column) => {
      const button = element("button", { type: "button" });
      button.addEventListener("click", () => changeFunction({ cell: 2 * row + column }));
      return element("td", {}, button);
    })),
  );
  functionIds["pool-output"].replaceChildren(element("tbody", {}, ...outputs));
}

// What a window puts out, and the share of the gradient that each of its pixels gets; of equals the first, as torch.
function poolWindow(values, kind, cell) {
  const [top, left] = [2 * Math.floor(cell / 2), 2 * (cell % 2)];
  const places = [0, 1].flatMap((i) => [0, 1].map((j) => (top + i) * POOL_SIDE + left + j));
  const inside = places.map((place) => values[place]);
  const value = kind === "max" ? Math.max(...inside) : inside.reduce((a, b) => a + b, 0) / inside.length;
  const shares = new Array(values.length).fill(0);
  if (kind === "max") shares[places[inside.indexOf(value)]] = 1;
  else for (const place of places) shares[place] = 1 / inside.length;
  return { value, places, shares };
}

function drawPooling() {
  const { values, pool, cell } = functionState;
  const { places, shares } = poolWindow(values, pool, cell);
  functionIds["pool-input"].querySelectorAll("td").forEach((td, place) => {
    const [input, share] = td.children;
    if (document.activeElement !== input) input.value = shown(values[place]);
    share.textContent = places.includes(place) ? say("func.pool.share", { share: shown(shares[place]) }) : "";
    td.className = `${places.includes(place) ? "inside" : ""} ${shares[place] ? "kept" : ""}`;
  });
  functionIds["pool-output"].querySelectorAll("button").forEach((button, other) => {
    button.textContent = shown(poolWindow(values, pool, other).value);
    button.setAttribute("aria-pressed", other === cell);
    button.setAttribute("aria-label", say("func.pool.value", { number: other + 1, value: button.textContent }));
  });
  const [largest, mean] = functionIds.pools.querySelectorAll("button");
  largest.setAttribute("aria-pressed", pool === "max");
  mean.setAttribute("aria-pressed", pool === "avg");
  functionIds["pool-text"].textContent = say(`func.pool.${pool}`);
}

// ---- Address

function writeFunctions() {
  const { curve, x, pool, cell, values } = functionState;
  return { curve, x, pool, cell, values: values.join(",") };
}

function readFunctions(state) {
  functionState.curve = Object.hasOwn(CURVES, state.get("curve")) ? state.get("curve") : "relu";
  const { low, high } = CURVES[functionState.curve];
  const x = Number(state.get("x") || NaN);
  functionState.x = Number.isFinite(x) ? clamp(x, low, high) : 1;
  functionState.pool = state.get("pool") === "avg" ? "avg" : "max";
  functionState.cell = numberIn(state, "cell", 0, 0, 3);
  const values = (state.get("values") || "").split(",").map(parseNumber);
  const usable = values.length === POOL_SIDE ** 2 && values.every((value) => value !== null);
  functionState.values = usable ? values : POOL_START.slice();
}
