// The screen "Your network": its layers on a picture, and any value back to the pixels.

const TOP_TERMS = 6;
const MOST_CELLS = 64; // of a pooling window that is shown whole
const MAX_ADDRESS_PIXELS = 1024;

const net = {
  nodes: [], base: null, picture: 0, drawn: false, shift: [0, 0], degrees: 0,
  input: null, values: [], place: { node: 1, channel: 0, row: 0, column: 0 }, term: 0,
  brush: 1, back: [], mapClass: null, cursor: { row: 0, column: 0 }, inputGrid: null, oneGrid: null, mapsGrid: null, across: 1,
  computeMs: 0, timer: 0,
};
const netIds = {};

const SLOW_MS = 50;
const PAUSE_MS = 120;

// Where a network takes long, the picture follows at once and the layers when the hand pauses.
const computeNetSoon = oncePerFrame(() => {
  clearTimeout(net.timer);
  if (net.computeMs > SLOW_MS) {
    placePicture();
    drawNetInput();
    net.timer = setTimeout(computeAndDraw, PAUSE_MS);
  } else computeAndDraw();
});

function computeAndDraw() {
  const start = performance.now();
  computeNet();
  net.computeMs = performance.now() - start;
  drawNet();
}

const drawNetSoon = oncePerFrame(drawNet);

function startNetwork() {
  if (!PAGE.network) return;
  for (const node of document.querySelectorAll("[id^=net-]")) netIds[node.id.slice(4)] = node;
  net.nodes = openNodes(PAGE.network);
  makeLayerButtons();
  makeImageButtons();
  makeBars();
  listenToDrawing();
  listenToTools();
  listenToMaps();
  for (const name of ["input", "maps", "one", "map"]) if (netIds[name]) watchSize(netIds[name], drawNetSoon);
  addScreen({ name: "network", draw: drawNet, write: writeNet, read: readNet });
}

function nodeName(node) {
  return node.kind === "input" ? say("net.input") : node.path;
}

function shapeText(node) {
  return isMaps(node) ? node.shape.join(" × ") : String(node.shape[0]);
}

// ---- Layers and places

function makeLayerButtons() {
  net.nodes.forEach((node, number) => {
    const button = element("button", { type: "button", className: "layer" }, nodeName(node), element("small", {}, shapeText(node)));
    button.addEventListener("click", () => go(samePlaceOn(number)));
    netIds.layers.append(button);
  });
}

// The place of another layer that lies where the present one does, as nearly as can be.
function samePlaceOn(number) {
  const from = net.nodes[net.place.node];
  const to = net.nodes[number];
  const place = { node: number, channel: Math.min(net.place.channel, to.shape[0] - 1), row: 0, column: 0 };
  if (!isMaps(to)) return place;
  if (!isMaps(from)) return { ...place, row: to.shape[1] >> 1, column: to.shape[2] >> 1 };
  place.row = clamp(Math.floor(((net.place.row + 0.5) * to.shape[1]) / from.shape[1]), 0, to.shape[1] - 1);
  place.column = clamp(Math.floor(((net.place.column + 0.5) * to.shape[2]) / from.shape[2]), 0, to.shape[2] - 1);
  return place;
}

function go(place, remember = true) {
  if (remember) net.back = [...net.back.slice(-49), net.place];
  net.place = place;
  net.term = 0;
  drawNetSoon();
  writeAddress();
}

function listenToMaps() {
  netIds.maps.addEventListener("pointerdown", (event) => go(placeInMaps(event)));
  netIds.one.addEventListener("pointerdown", (event) => {
    if (net.oneGrid) go({ ...net.place, ...cellAt(netIds.one, net.oneGrid, event) }, false);
  });
  for (const canvas of [netIds.maps, netIds.one]) canvas.addEventListener("keydown", moveInMaps);
}

function placeInMaps(event) {
  const node = net.nodes[net.place.node];
  const { row, column } = cellAt(netIds.maps, net.mapsGrid, event);
  const [count, height = 1, width = 1] = node.shape;
  const channel = Math.min(Math.floor(row / height) * net.across + Math.floor(column / width), count - 1);
  if (!isMaps(node)) return { ...net.place, channel };
  const inner = cellAt(netIds.maps, tileGrid(node, channel), event);
  return { node: net.place.node, channel, ...inner };
}

// So many maps stand side by side that all of them together come nearest to a square.
function mapsAcross(count, height, width) {
  const apart = (across) => Math.abs(Math.log((across * width) / (Math.ceil(count / across) * height)));
  let best = 1;
  for (let across = 2; across <= count; across++) if (apart(across) < apart(best) + 1e-9) best = across;
  return best;
}

// Where a map lies among all of them, with a little room around it.
function tileGrid(node, channel) {
  const { cell, left, top } = net.mapsGrid;
  const [, height, width] = node.shape;
  const inset = Math.min(3, cell * Math.min(height, width) * 0.06);
  const grid = layGrid(cell * width - 2 * inset, cell * height - 2 * inset, height, width);
  grid.left += left + (channel % net.across) * cell * width + inset;
  grid.top += top + Math.floor(channel / net.across) * cell * height + inset;
  return grid;
}

function moveInMaps(event) {
  const node = net.nodes[net.place.node];
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  const map = { PageUp: -1, PageDown: 1 }[event.key];
  const place = { ...net.place };
  if (map) place.channel = clamp(place.channel + map, 0, node.shape[0] - 1);
  else if (step && isMaps(node)) {
    place.row = clamp(place.row + step[0], 0, node.shape[1] - 1);
    place.column = clamp(place.column + step[1], 0, node.shape[2] - 1);
  } else if (step) place.channel = clamp(place.channel + step[0] * net.across + step[1], 0, node.shape[0] - 1);
  else return;
  event.preventDefault();
  go(place, false);
}

// ---- Address

function writeNet() {
  const { node, channel, row, column } = net.place;
  const state = { image: net.picture, layer: net.nodes[node].path, map: channel, row, column };
  if (net.shift.some(Boolean)) state.shift = net.shift.join(",");
  if (net.degrees) state.turn = net.degrees;
  if (net.drawn && net.base.length <= MAX_ADDRESS_PIXELS) state.pixels = Array.from(net.base, hexPixel).join("");
  return state;
}

function hexPixel(value) {
  return Math.round(255 * value).toString(16).padStart(2, "0");
}

function readNet(state) {
  const { shape } = net.nodes[0];
  const last = PAGE.network.pictures.length - 1;
  net.picture = numberIn(state, "image", 0, 0, last);
  net.base = givenPicture(net.picture);
  net.drawn = false;
  const pixels = state.get("pixels") || "";
  if (pixels.length === 2 * net.base.length && /^[0-9a-f]+$/.test(pixels)) {
    net.base = Float32Array.from({ length: net.base.length }, (_, i) => parseInt(pixels.slice(2 * i, 2 * i + 2), 16) / 255);
    net.drawn = true;
  }
  const shift = (state.get("shift") || "").split(",").map(Number);
  const whole = shift.length === 2 && shift.every(Number.isInteger);
  net.shift = whole ? shift.map((by, axis) => clamp(by, -shape[1 + axis], shape[1 + axis])) : [0, 0];
  net.degrees = numberIn(state, "turn", 0, -180, 180);
  const first = Math.max(1, net.nodes.findIndex(({ kind }) => kind === "conv2d"));
  const named = net.nodes.findIndex(({ path }) => path === state.get("layer"));
  const node = named >= 0 ? named : Math.min(first, net.nodes.length - 1);
  const [channels, height = 1, width = 1] = net.nodes[node].shape;
  computeNet();
  const strongest = strongestPlace(node);
  net.place = {
    node,
    channel: numberIn(state, "map", strongest.channel, 0, channels - 1),
    row: numberIn(state, "row", strongest.row, 0, height - 1),
    column: numberIn(state, "column", strongest.column, 0, width - 1),
  };
  net.back = [];
  tellNet("");
}

function strongestPlace(node) {
  const { data } = net.values[node];
  return placeAt(net.nodes, node, data.indexOf(data.reduce((a, b) => Math.max(a, b), -Infinity)));
}
