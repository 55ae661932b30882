// "Inside the network" of a report: what the network computed for a chosen test image, layer by layer.

const INSIDE = JSON.parse(document.getElementById("inside-data").textContent);
const TILE = 56; // CSS pixels of a map, about
const CELL = 14; // of a single number
const LINES = { maps: 1, numbers: 3 }; // shown without a click
const MOST = 512; // shown with one
const MOST_CLASSES = 10;
const ROUNDED = 0.0006; // the report's probabilities have four decimals; float32 sums differ with their order
const PASSING = ["input", "dropout", "flatten"]; // nothing new to see

const inside = { nodes: openNodes(INSIDE.network), layers: [], choices: [], values: [], chosen: 0 };

function say(key, values = {}) {
  return INSIDE.texts[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

function part(name) {
  return document.getElementById(`inside-${name}`);
}

function startInside() {
  part("page").hidden = false;
  makeChoices();
  inside.layers = inside.nodes.map(makeLayer).filter(Boolean);
  part("layers").append(...inside.layers.map(({ figure }) => figure));
  linkCards();
  choose(0);
  new ResizeObserver(oncePerFrame(() => inside.layers.forEach(drawLayer))).observe(part("layers"));
}

// ---- Choosing an image

function makeChoices() {
  const wrong = ({ true: truth, top }) => truth >= 0 && truth !== top[0][0];
  for (const [key, belongs] of [["inside.wrong", wrong], ["inside.others", (answer) => !wrong(answer)]]) {
    const buttons = INSIDE.answers.map((answer, number) => (belongs(answer) ? makeChoice(answer, number) : null)).filter(Boolean);
    if (buttons.length) part("pictures").append(element("div", { className: "inside-group" }, element("p", {}, say(key)), element("div", {}, ...buttons)));
  }
}

function makeChoice(answer, number) {
  const canvas = element("canvas", { "aria-hidden": "true" });
  paintPicture(canvas, number);
  const button = element("button", { type: "button", className: "inside-choice", title: answer.path, "aria-label": verdict(answer) }, canvas);
  button.addEventListener("click", () => choose(number));
  inside.choices[number] = button;
  return button;
}

function paintPicture(canvas, number) {
  const [channels, height, width] = inside.nodes[0].shape;
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(imageOf(openPixels(INSIDE.network.pictures[number]), channels, height, width), 0, 0);
}

function verdict({ true: truth, top }) {
  const { classes } = INSIDE.network;
  const named = { name: classes[top[0][0]], truth: classes[truth] };
  return say(truth < 0 ? "inside.named" : truth === top[0][0] ? "inside.right" : "inside.mistaken", named);
}

// An image of the report's lists that is here too gets a button that leads here.
function linkCards() {
  const numbers = new Map(INSIDE.answers.map(({ path }, number) => [path, number]));
  for (const file of document.querySelectorAll(".card .file")) {
    const number = numbers.get(file.title);
    if (number === undefined) continue;
    const button = element("button", { type: "button", className: "copy" }, say("inside.open"));
    button.setAttribute("aria-label", `${say("inside.open")}: ${file.textContent}`);
    button.addEventListener("click", () => {
      choose(number);
      const heading = document.getElementById("inside");
      heading.scrollIntoView();
      heading.focus({ preventScroll: true });
    });
    file.after(button);
  }
}

function choose(number) {
  const { shape } = inside.nodes[0];
  const pixels = openPixels(INSIDE.network.pictures[number]);
  inside.values = computeNetwork(inside.nodes, tensor(shape, normalise(pixels, shape, INSIDE.network)));
  inside.chosen = number;
  inside.choices.forEach((button, i) => button.setAttribute("aria-pressed", i === number));
  paintPicture(part("picture"), number);
  part("picture").setAttribute("aria-label", say("inside.picture", { height: shape[1], width: shape[2] }));
  part("truth").textContent = verdict(INSIDE.answers[number]);
  drawAnswer(INSIDE.answers[number]);
  inside.layers.forEach(drawLayer);
}

// ---- The answer

// Few classes stand in their own order; of many, the most probable.
function drawAnswer({ true: truth, top }) {
  const { classes } = INSIDE.network;
  const { data } = inside.values.at(-1);
  const shares = classShares(data, INSIDE.network);
  const best = shares.indexOf(Math.max(...shares));
  const order = shares.map((_, k) => k);
  if (shares.length > MOST_CLASSES) order.sort((a, b) => shares[b] - shares[a]).splice(MOST_CLASSES);
  const logits = INSIDE.network.output === "logits" && data.length === shares.length;
  const said = new Map(top);
  part("logit").hidden = !logits;
  part("rows").replaceChildren(...order.map((k) => {
    const cells = [asReported(shares[k]), said.has(k) ? asReported(said.get(k)) : "–"];
    if (logits) cells.unshift(shown(data[k]));
    const row = element("tr", {}, element("th", { scope: "row" }, element("bdi", { className: "name" }, classes[k])), ...cells.map((text) => element("td", { className: "n" }, text)));
    row.classList.toggle("right", k === truth);
    row.classList.toggle("wrong", k === best && truth >= 0 && k !== truth);
    row.classList.toggle("best", k === best);
    return row;
  }));
  const apart = Math.max(...top.map(([k, share]) => Math.abs(share - shares[k])));
  part("agreement").textContent = say(apart <= ROUNDED ? "inside.agrees" : "inside.differs", { points: (100 * apart).toFixed(1) });
}

// As the report writes probabilities: of four decimals, halves upwards.
function asReported(share) {
  const kept = Math.round(10000 * share) / 10000;
  if (kept > 0.9995) return ">99.9\u00a0%";
  if (kept < 0.0005) return "<0.1\u00a0%";
  return `${(Math.floor(1000 * kept + 0.5 + 1e-9) / 10).toFixed(1)}\u00a0%`;
}

// ---- The layers

function makeLayer(node, place) {
  if (PASSING.includes(node.kind)) return null;
  const canvas = element("canvas", { role: "img" });
  const caption = element("span");
  const all = element("button", { type: "button", className: "copy" });
  const head = element("figcaption", {}, element("b", {}, node.path), caption, all);
  const box = element("div", {}, canvas);
  const layer = { node, place, canvas, caption, all, box, whole: false, figure: element("figure", { className: "inside-layer" }, head, box) };
  all.addEventListener("click", () => {
    layer.whole = !layer.whole;
    drawLayer(layer);
  });
  return layer;
}

// The maps of a layer on one canvas, a pixel a number, made larger by the style; between maps there is a gap.
function drawLayer(layer) {
  const { node, canvas } = layer;
  const { data } = inside.values[layer.place];
  const [, height = 1, width = 1] = node.shape;
  const { scale, gap, columns, most } = arrange(layer);
  const range = valueRange(data);
  canvas.width = columns * (width + gap) - gap;
  canvas.height = Math.ceil(most / columns) * (height + gap) - gap;
  canvas.style.width = `${canvas.width * scale}px`;
  const context = canvas.getContext("2d");
  for (let map = 0; map < most; map++) {
    const values = data.subarray(map * height * width, (map + 1) * height * width);
    const [row, column] = [Math.floor(map / columns), map % columns];
    context.putImageData(greyImage(values, height, width, range), column * (width + gap), row * (height + gap));
  }
  describeLayer(layer, range, most);
}

// How large maps are drawn, how many stand in a line, and how many are shown.
function arrange({ node, box, whole }) {
  const [count, height = 1, width = 1] = node.shape;
  const maps = height * width > 1;
  const scale = maps ? Math.max(1, Math.round(TILE / Math.max(height, width))) : CELL;
  const gap = maps ? Math.max(1, Math.round(3 / scale)) : 0;
  const room = Math.floor(box.clientWidth / scale);
  const columns = clamp(Math.floor((room + gap) / (width + gap)), 1, count);
  const lines = whole ? Infinity : LINES[maps ? "maps" : "numbers"];
  return { scale, gap, columns, most: Math.min(count, MOST, columns * lines) };
}

function describeLayer({ node, canvas, caption, all, whole }, range, most) {
  const [count, height = 1, width = 1] = node.shape;
  const size = say(height * width > 1 ? "inside.maps" : "inside.numbers", { count, height, width });
  caption.textContent = `${size}, ${say("inside.range", { low: shown(range.low), high: shown(range.high) })}`;
  const first = most < count ? `, ${say("inside.first", { count: most })}` : "";
  canvas.setAttribute("aria-label", `${node.path}: ${caption.textContent}${first}`);
  all.hidden = most === count && !whole;
  all.textContent = say(whole ? "inside.fewer" : "inside.all", { count: Math.min(count, MOST) });
  all.setAttribute("aria-label", `${node.path}: ${all.textContent}`);
}

startInside();
