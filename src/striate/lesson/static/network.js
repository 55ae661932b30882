// The screen "Your network": its layers on a picture, and any value back to the pixels.

const TOP_TERMS = 6;
const MAX_ADDRESS_PIXELS = 1024;

const net = {
  nodes: [], base: null, picture: 0, drawn: false, shift: [0, 0], degrees: 0,
  input: null, values: [], place: { node: 1, channel: 0, row: 0, column: 0 }, term: 0,
  brush: 1, back: [], mapClass: null, cursor: { row: 0, column: 0 }, inputGrid: null, oneGrid: null, mapsGrid: null,
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

// The nodes of the page's data with their weights as tensors.
function openNodes({ nodes, values }) {
  const row = new Float32Array(decodeBytes(values).buffer);
  return nodes.map((node) => {
    const weights = {};
    for (const [name, { offset, shape }] of Object.entries(node.tensors)) {
      const count = shape.reduce((product, side) => product * side, 1);
      weights[name] = { shape, data: row.subarray(offset, offset + count) };
    }
    return { ...node, weights };
  });
}

function nodeName(node) {
  return node.kind === "input" ? say("net.input") : node.path;
}

function shapeText(node) {
  return isMaps(node) ? node.shape.join(" × ") : String(node.shape[0]);
}

// ---- The picture

function givenPicture(number) {
  const bytes = decodeBytes(PAGE.network.pictures[number].pixels);
  return Float32Array.from(bytes, (byte) => byte / 255);
}

function makeImageButtons() {
  const [channels, height, width] = net.nodes[0].shape;
  PAGE.network.pictures.forEach(({ name }, number) => {
    const canvas = element("canvas", { width, height });
    canvas.getContext("2d").putImageData(imageOf(givenPicture(number), channels, height, width), 0, 0);
    canvas.setAttribute("aria-hidden", "true");
    const button = element("button", { type: "button", className: "thumb", title: name, "aria-label": name }, canvas);
    button.addEventListener("click", () => choose(number));
    netIds.pictures.append(button);
  });
}

function choose(number) {
  Object.assign(net, { picture: number, base: givenPicture(number), drawn: false, shift: [0, 0], degrees: 0 });
  tellNet("");
  computeNetSoon();
  writeAddress();
}

// Values (C, H, W) in 0..1 as pixels.
function imageOf(values, channels, height, width) {
  const image = new ImageData(width, height);
  const plane = height * width;
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = Math.round(255 * values[(channels === 3 ? c : 0) * plane + i]);
    image.data[4 * i + 3] = 255;
  }
  return image;
}

// The picture shifted and turned about its middle; between pixels by bilinear weights, black outside.
function transformed(values, [channels, height, width], [down, across], degrees) {
  if (!down && !across && !degrees) return values;
  const out = new Float32Array(values.length);
  const angle = (degrees * Math.PI) / 180;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const [middleY, middleX] = [(height - 1) / 2, (width - 1) / 2];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [dy, dx] = [y - down - middleY, x - across - middleX];
      const fromX = cos * dx + sin * dy + middleX;
      const fromY = cos * dy - sin * dx + middleY;
      for (let c = 0; c < channels; c++) {
        out[(c * height + y) * width + x] = between(values, c * height * width, height, width, fromY, fromX);
      }
    }
  }
  return out;
}

function between(values, start, height, width, y, x) {
  const [top, left] = [Math.floor(y), Math.floor(x)];
  let sum = 0;
  for (const [row, down] of [[top, top + 1 - y], [top + 1, y - top]]) {
    for (const [column, across] of [[left, left + 1 - x], [left + 1, x - left]]) {
      if (row < 0 || column < 0 || row >= height || column >= width) continue;
      sum += values[start + row * width + column] * down * across;
    }
  }
  return sum;
}

function placePicture() {
  net.input = transformed(net.base, net.nodes[0].shape, net.shift, net.degrees);
}

function computeNet() {
  const { shape } = net.nodes[0];
  placePicture();
  const { mean, std } = PAGE.network;
  const plane = shape[1] * shape[2];
  const normalised = net.input.map((value, i) => {
    const c = Math.floor(i / plane);
    return (value - mean[c]) / std[c];
  });
  net.values = computeNetwork(net.nodes, tensor(shape, normalised));
}

function listenToDrawing() {
  const { input } = netIds;
  let last = null;
  const strokeTo = (event) => {
    const to = cellAt(input, net.inputGrid, event);
    const steps = Math.max(1, Math.abs(to.row - last.row), Math.abs(to.column - last.column));
    for (let step = 0; step <= steps; step++) {
      const share = step / steps;
      dab(last.row + (to.row - last.row) * share, last.column + (to.column - last.column) * share);
    }
    last = to;
    computeNetSoon();
    writeAddress();
  };
  input.addEventListener("pointerdown", (event) => {
    input.setPointerCapture(event.pointerId);
    settle();
    last = cellAt(input, net.inputGrid, event);
    strokeTo(event);
  });
  input.addEventListener("pointermove", (event) => last && strokeTo(event));
  for (const end of ["pointerup", "pointercancel"]) input.addEventListener(end, () => (last = null));
  input.addEventListener("keydown", drawNetByKey);
}

function drawNetByKey(event) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  const [, height, width] = net.nodes[0].shape;
  if (step) {
    net.cursor.row = clamp(net.cursor.row + step[0], 0, height - 1);
    net.cursor.column = clamp(net.cursor.column + step[1], 0, width - 1);
  } else if (event.key === " ") {
    settle();
    dab(net.cursor.row, net.cursor.column);
    writeAddress();
  } else return;
  event.preventDefault();
  computeNetSoon();
}

// What is shifted and turned becomes the picture that is drawn on.
function settle() {
  net.base = Float32Array.from(net.input);
  Object.assign(net, { shift: [0, 0], degrees: 0, drawn: true });
}

// A soft round dab of the brush, about a fourteenth of the picture wide.
function dab(row, column) {
  const [channels, height, width] = net.nodes[0].shape;
  const radius = Math.max(0.9, height / 28);
  for (let y = Math.floor(row - radius); y <= row + radius; y++) {
    for (let x = Math.floor(column - radius); x <= column + radius; x++) {
      if (y < 0 || x < 0 || y >= height || x >= width) continue;
      const share = clamp(radius + 0.5 - Math.hypot(y - row, x - column), 0, 1);
      for (let c = 0; c < channels; c++) {
        const i = (c * height + y) * width + x;
        net.base[i] = net.brush ? Math.max(net.base[i], share) : Math.min(net.base[i], 1 - share);
      }
    }
  }
}

function listenToTools() {
  netIds.reset.addEventListener("click", () => choose(net.picture));
  netIds.clear.addEventListener("click", () => {
    net.base.fill(0);
    Object.assign(net, { shift: [0, 0], degrees: 0, drawn: true, brush: 1 });
    computeNetSoon();
    writeAddress();
  });
  netIds.brush.addEventListener("click", () => {
    net.brush = 1 - net.brush;
    drawNet();
  });
  for (const button of document.querySelectorAll("[data-shift]")) {
    const [down, across] = button.dataset.shift.split(",").map(Number);
    button.addEventListener("click", () => {
      net.shift = [net.shift[0] + down, net.shift[1] + across];
      computeNetSoon();
      writeAddress();
    });
  }
  netIds.turn.addEventListener("input", () => {
    net.degrees = Number(netIds.turn.value);
    computeNetSoon();
    writeAddress();
  });
  netIds.back.addEventListener("click", () => {
    if (net.back.length) go(net.back.pop(), false);
  });
  takeFiles(byId("screen-network"), netIds.file, openNetPicture);
}

async function openNetPicture(file) {
  const [channels, height, width] = net.nodes[0].shape;
  try {
    const { size, bytes } = await readImageFile(file, width, height, PAGE.network.fit !== "squash");
    const plane = height * width;
    net.base = channels === 1 ? greyPixels(bytes) : Float32Array.from({ length: 3 * plane }, (_, i) => bytes[4 * (i % plane) + Math.floor(i / plane)] / 255);
    Object.assign(net, { drawn: true, shift: [0, 0], degrees: 0 });
    tellNet(say("picture.scaled", { name: file.name, width: size[0], height: size[1], side: width }));
    computeNetSoon();
  } catch {
    tellNet(say("picture.refused", { name: file.name }));
  }
}

// What the page leaves out stays said; what just happened comes after it.
function tellNet(text) {
  const { cut, limits, permuted, problems } = PAGE.network;
  const remarks = problems.map(([image, reason]) => say("net.problem", { image, reason }));
  if (cut) {
    const limit = { weights: limits.weights, work: limits.work, unknown: 0 }[cut.reason].toLocaleString("en");
    remarks.push(say(`net.cut.${cut.reason}`, { ...cut, limit }));
  }
  if (permuted) remarks.push(say("net.permuted"));
  if (text) remarks.push(text);
  netIds.message.textContent = remarks.join(" ");
  netIds.message.hidden = !remarks.length;
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
  const tile = cellAt(netIds.maps, net.mapsGrid, event);
  const channel = Math.min(tile.row * net.mapsGrid.columns + tile.column, node.shape[0] - 1);
  if (!isMaps(node)) return { ...net.place, channel };
  const inner = cellAt(netIds.maps, tileGrid(node, channel), event);
  return { node: net.place.node, channel, ...inner };
}

// Where a map lies among all of them, with a little room around it.
function tileGrid(node, channel) {
  const { cell, left, top, columns } = net.mapsGrid;
  const inset = Math.min(3, cell * 0.06);
  const [, height, width] = node.shape;
  const grid = layGrid(cell - 2 * inset, cell - 2 * inset, height, width);
  grid.left += left + (channel % columns) * cell + inset;
  grid.top += top + Math.floor(channel / columns) * cell + inset;
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
  } else if (step) place.channel = clamp(place.channel + step[0] * net.mapsGrid.columns + step[1], 0, node.shape[0] - 1);
  else return;
  event.preventDefault();
  go(place, false);
}

// ---- Drawing

function drawNet() {
  if (byId("screen-network").hidden || !net.values.length) return;
  drawNetInput();
  drawBars();
  drawClassMap();
  drawMaps();
  drawWhy();
  writeTools();
}

function drawPixels(context, grid, values, [channels, height, width]) {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(imageOf(values, channels, height, width), 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, grid.left, grid.top, grid.cell * width, grid.cell * height);
}

function drawNetInput() {
  const { shape } = net.nodes[0];
  const { context, width, height } = prepare(netIds.input);
  const grid = (net.inputGrid = layGrid(width, height, shape[1], shape[2]));
  drawPixels(context, grid, net.input, shape);
  const field = fieldOf(net.nodes, net.place);
  frameCells(context, grid, field.top, field.left, field.bottom - field.top + 1, field.right - field.left + 1, "kernel", 3);
  if (document.activeElement === netIds.input) frameCells(context, grid, net.cursor.row, net.cursor.column, 1, 1, "picture", 2);
  netIds.field.textContent = say("net.field", { height: field.bottom - field.top + 1, width: field.right - field.left + 1 });
}

// Maps as grey levels in tiles; a row of features as cells with their numbers.
function drawMaps() {
  const node = net.nodes[net.place.node];
  const { data } = net.values[net.place.node];
  const range = valueRange(data);
  const { context, width, height } = prepare(netIds.maps);
  const count = node.shape[0];
  const columns = Math.ceil(Math.sqrt(count));
  net.mapsGrid = layGrid(width, height, columns, columns);
  centreText(context);
  if (isMaps(node)) drawTiles(context, node, data, range);
  else {
    const longest = longestText(data);
    data.forEach((value, i) => drawCell(context, net.mapsGrid, Math.floor(i / columns), i % columns, greyOf(value, range), shown(value), longest));
    frameCells(context, net.mapsGrid, Math.floor(net.place.channel / columns), net.place.channel % columns, 1, 1, "output", 3);
  }
  netIds["maps-title"].textContent = say("net.maps", { layer: nodeName(node) });
  netIds["maps-help"].textContent = say(isMaps(node) ? "net.maps.help" : "net.maps.help.values", { low: shown(range.low), high: shown(range.high) });
}

function drawTiles(context, node, data, range) {
  const [count, height, width] = node.shape;
  for (let channel = 0; channel < count; channel++) {
    const values = data.subarray(channel * height * width, (channel + 1) * height * width);
    drawMap(context, tileGrid(node, channel), values, range);
  }
  frameCells(context, tileGrid(node, net.place.channel), 0, 0, height, width, "output", 3);
}

// One map as an image, each value a square without a gap.
function drawMap(context, grid, values, range) {
  const { rows, columns, left, top, cell } = grid;
  const canvas = new OffscreenCanvas(columns, rows);
  canvas.getContext("2d").putImageData(greyImage(values, rows, columns, range), 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, left, top, cell * columns, cell * rows);
}

function greyImage(values, height, width, range) {
  const image = new ImageData(width, height);
  for (let i = 0; i < values.length; i++) {
    const grey = greyOf(values[i], range);
    image.data[4 * i] = image.data[4 * i + 1] = image.data[4 * i + 2] = grey;
    image.data[4 * i + 3] = 255;
  }
  return image;
}

function writeTools() {
  const node = net.nodes[net.place.node];
  const at = { layer: nodeName(node), channel: net.place.channel + 1, row: net.place.row + 1, column: net.place.column + 1 };
  const value = shown(valueAt(net.place));
  const [, height, width] = net.nodes[0].shape;
  const label = say(isMaps(node) ? "net.maps.label" : "net.values.label", { ...at, value });
  netIds.size.textContent = `${height} × ${width}`;
  netIds.input.setAttribute("aria-label", say("net.input.label", { height, width }));
  netIds.maps.setAttribute("aria-label", label);
  netIds.one.setAttribute("aria-label", label);
  netIds.brush.textContent = `${say("net.brush")}: ${say(net.brush ? "net.white" : "net.black")}`;
  netIds.turn.value = net.degrees;
  netIds.degrees.textContent = say("net.degrees", { degrees: net.degrees });
  netIds.back.disabled = !net.back.length;
  [...netIds.pictures.children].forEach((button, i) => button.setAttribute("aria-pressed", !net.drawn && i === net.picture));
  [...netIds.layers.children].forEach((button, i) => button.setAttribute("aria-pressed", i === net.place.node));
  showChosenLayer(netIds.layers.children[net.place.node]);
}

// A long list of layers scrolls by itself; the page stays where it is.
function showChosenLayer(button) {
  const list = netIds.layers;
  const top = button.offsetTop - list.offsetTop;
  if (top < list.scrollTop || top + button.offsetHeight > list.scrollTop + list.clientHeight) {
    list.scrollTop = top - list.clientHeight / 2 + button.offsetHeight / 2;
  }
}

// ---- The answer

function makeBars() {
  const { classes } = PAGE.network;
  for (const name of classes.slice(0, 20)) {
    const bar = element("i");
    const row = element("button", { type: "button", className: "bar" }, element("span", {}, name), element("span", { className: "track" }, bar), element("b", {}));
    row.addEventListener("click", () => {
      const chosen = Number(row.dataset.place);
      net.mapClass = net.mapClass === chosen ? null : chosen;
      drawNet();
    });
    netIds.bars.append(row);
  }
}

// Probabilities of all classes; null where the page stops before the end.
function probabilities() {
  const { cut, output, temperature } = PAGE.network;
  if (cut) return null;
  const { data } = net.values.at(-1);
  if (output === "probability" || output === "logit") {
    const logit = output === "logit" ? data[0] : Math.log(data[0] / (1 - data[0]));
    const second = sigmoidOf(logit / temperature);
    return [1 - second, second];
  }
  return Array.from(softmax(tensor([data.length], data.map((value) => value / temperature))).data);
}

// Up to twenty classes stand in their own order, so that nothing jumps; of more, the most probable.
function drawBars() {
  const shares = probabilities();
  if (!shares) {
    netIds.bars.replaceChildren(element("p", {}, say("net.answer.none")));
    return;
  }
  const best = shares.indexOf(Math.max(...shares));
  netIds.best.textContent = say("net.answer.best", { name: PAGE.network.classes[best], percent: percent(shares[best]) });
  const order = shares.map((_, i) => i);
  if (shares.length > 20) order.sort((a, b) => shares[b] - shares[a]);
  [...netIds.bars.children].forEach((row, i) => {
    const k = order[i];
    row.dataset.place = k;
    row.children[0].textContent = PAGE.network.classes[k];
    row.children[1].firstChild.style.width = `${100 * shares[k]}%`;
    row.children[2].textContent = percent(shares[k]);
    row.classList.toggle("best", k === best);
    row.disabled = !PAGE.network.classMap;
    row.setAttribute("aria-pressed", net.mapClass === k);
  });
}

// Zhou et al. 2016, eq. 2: the last maps, each times its weight for the class.
function classMap(k) {
  const { maps, head } = PAGE.network.classMap;
  const [channels, height, width] = net.nodes[maps].shape;
  const { weight } = net.nodes[head].weights;
  const one = weight.shape[0] === 1;
  const out = new Float32Array(height * width);
  for (let c = 0; c < channels; c++) {
    const factor = (one && k === 0 ? -1 : 1) * weight.data[(one ? 0 : k) * channels + c];
    for (let i = 0; i < out.length; i++) out[i] += factor * net.values[maps].data[c * height * width + i];
  }
  return { values: out, height, width };
}

function drawClassMap() {
  if (!PAGE.network.classMap) return;
  const shares = probabilities();
  const k = net.mapClass === null ? shares.indexOf(Math.max(...shares)) : net.mapClass;
  const name = PAGE.network.classes[k];
  const map = classMap(k);
  const high = Math.max(0, ...map.values);
  const { context, width, height } = prepare(netIds.map);
  const { shape } = net.nodes[0];
  const grid = layGrid(width, height, shape[1], shape[2]);
  drawPixels(context, grid, net.input.map((value) => value * 0.6), shape);
  const [sideX, sideY] = [(grid.cell * shape[2]) / map.width, (grid.cell * shape[1]) / map.height];
  context.fillStyle = "#19c794";
  map.values.forEach((value, i) => {
    context.globalAlpha = high > 0 ? (0.85 * Math.max(0, value)) / high : 0;
    const [row, column] = [Math.floor(i / map.width), i % map.width];
    context.fillRect(grid.left + column * sideX, grid.top + row * sideY, sideX + 0.4, sideY + 0.4);
  });
  context.globalAlpha = 1;
  netIds["map-title"].textContent = say("net.map.title", { name });
  netIds["map-text"].textContent = say("net.map.lead", { high: shown(high) });
  netIds.map.setAttribute("aria-label", say("net.map.label", { name }));
}

// ---- Why

function valueAt(place) {
  return net.values[place.node].data[placeIndex(net.nodes[place.node], place)];
}

function placeText({ node, channel, row, column }) {
  const layer = nodeName(net.nodes[node]);
  const { classes, cut } = PAGE.network;
  if (!cut && node === net.nodes.length - 1 && classes.length === net.nodes[node].shape[0]) {
    return say("net.why.place.class", { layer, name: classes[channel] });
  }
  const at = { layer, channel: channel + 1, row: row + 1, column: column + 1 };
  return say(isMaps(net.nodes[node]) ? "net.why.place" : "net.why.place.value", at);
}

function drawWhy() {
  const { place } = net;
  const node = net.nodes[place.node];
  drawOneMap(node);
  netIds.place.textContent = placeText(place);
  netIds.kind.textContent = nodeName(node);
  netIds.value.textContent = shown(valueAt(place));
  netIds.text.textContent = reasonText(node, place);
  netIds.terms.replaceChildren(...terms(node, place));
}

function drawOneMap(node) {
  const { context, width, height } = prepare(netIds.one);
  const { data } = net.values[net.place.node];
  const maps = isMaps(node);
  netIds.one.hidden = !maps;
  net.oneGrid = maps ? layGrid(width, height, node.shape[1], node.shape[2]) : null;
  if (!maps || !width) return;
  const [, rows, columns] = node.shape;
  const values = data.subarray(net.place.channel * rows * columns, (net.place.channel + 1) * rows * columns);
  const range = valueRange(data);
  centreText(context);
  const longest = net.oneGrid.cell < 25 ? 0 : longestText(values);
  if (net.oneGrid.cell < 9) drawMap(context, net.oneGrid, values, range);
  else values.forEach((value, i) => drawCell(context, net.oneGrid, Math.floor(i / columns), i % columns, greyOf(value, range), shown(value), longest));
  frameCells(context, net.oneGrid, net.place.row, net.place.column, 1, 1, "output", 3);
}

function reasonText(node, place) {
  if (node.kind === "input") {
    const { mean, std } = PAGE.network;
    const raw = net.input[placeIndex(node, place)];
    return say("net.why.pixel", { raw: shown(raw), mean: shown(mean[place.channel]), std: shown(std[place.channel]) });
  }
  const [, height, width] = isMaps(node) ? net.nodes[node.inputs[0]].shape : [0, 0, 0];
  return say(`net.${node.kind}`, { slope: node.args.negative_slope, count: height * width });
}

// The rows under "How this number came about", by the kind of the layer.
function terms(node, place) {
  if (node.kind === "input") return [];
  if (node.kind === "conv2d") return convolutionRows(node, place);
  if (node.kind === "linear") return linearRows(node, place);
  if (node.kind.includes("pool")) return poolRows(node, place);
  if (node.kind === "batch_norm") return batchNormRows(node, place);
  return plainTerms(net.nodes, net.values, place).map((term) => followRow(placeText(term.place), term.value, term.place));
}

function followRow(text, value, place) {
  const button = element("button", { type: "button", className: "term" }, element("span", {}, text), element("b", {}, shown(value)));
  button.addEventListener("click", () => go(place));
  return button;
}

function sumRow(text, value) {
  return element("p", { className: "term" }, element("span", {}, text), element("b", {}, shown(value)));
}

function largestFirst(list, size) {
  return list.sort((a, b) => Math.abs(size(b)) - Math.abs(size(a)));
}

function convolutionRows(node, place) {
  const all = largestFirst(convolutionTerms(net.nodes, net.values, place), ({ sum }) => sum);
  const top = all.slice(0, TOP_TERMS);
  const range = valueRange(top.flatMap(({ window }) => window.flat().map(({ value }) => value)));
  const kernelRange = symmetricRange(Array.from(node.weights.weight.data.subarray(0, 4096)));
  const rows = top.map((term, i) => {
    const button = element(
      "button", { type: "button", className: "term", "aria-pressed": i === net.term },
      element("span", {}, say("net.conv2d.map", { channel: term.channel + 1 })),
      smallGrid(term.window.map((row) => row.map(({ value }) => value)), range, "frame-picture"),
      element("span", { className: "sign" }, "×"),
      smallGrid(foldRows(term.kernel, term.window[0].length), kernelRange, "frame-kernel"),
      element("b", {}, shown(term.sum)),
    );
    button.addEventListener("click", () => {
      net.term = i;
      drawNetSoon();
    });
    return button;
  });
  const rest = all.slice(TOP_TERMS);
  if (rest.length) rows.push(sumRow(say("net.conv2d.rest", { count: rest.length }), rest.reduce((sum, term) => sum + term.sum, 0)));
  if (node.weights.bias) rows.push(sumRow(say("net.bias"), node.weights.bias.data[place.channel]));
  return [...rows, ...chosenProducts(top[Math.min(net.term, top.length - 1)])];
}

function foldRows(values, width) {
  return Array.from({ length: values.length / width }, (_, i) => Array.from(values.slice(i * width, (i + 1) * width)));
}

function smallGrid(rows, range, name) {
  const canvas = element("canvas", { width: rows[0].length, height: rows.length, className: `small ${name}` });
  canvas.getContext("2d").putImageData(greyImage(rows.flat(), rows.length, rows[0].length, range), 0, 0);
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}

// The chosen map's products in numbers; a pixel leads on to where it came from.
function chosenProducts({ channel, window, kernel, sum }) {
  const width = window[0].length;
  const rows = window.map((cells, i) =>
    element("tr", {}, ...cells.map(({ place, value }, j) => {
      const factor = kernel[i * width + j];
      const pixel = element("button", { type: "button", className: "pixel link", disabled: !place }, shown(value));
      if (place) pixel.addEventListener("click", () => go(place));
      return element(
        "td", {}, pixel, element("span", { className: "times" }, "×"), element("span", { className: "as-kernel" }, shown(factor)),
        element("span", { className: "product" }, `= ${shown(value * factor)}`),
      );
    })),
  );
  const table = element("table", { className: "products" }, element("tbody", {}, ...rows));
  table.dataset.size = Math.max(width, window.length);
  const head = element("p", { className: "chosen" }, say("net.conv2d.chosen", { channel: channel + 1, sum: shown(sum) }));
  return [head, element("div", { className: "products-box" }, table)];
}

function linearRows(node, place) {
  const all = largestFirst(linearTerms(net.nodes, net.values, place), ({ product }) => product);
  const rows = all.slice(0, TOP_TERMS).map((term) => {
    const row = followRow("", term.product, term.place);
    row.firstChild.append(
      element("span", { className: "as-picture" }, shown(term.value)), " × ", element("span", { className: "as-kernel" }, shown(term.factor)),
      element("small", {}, placeText(term.place)),
    );
    return row;
  });
  const rest = all.slice(TOP_TERMS);
  if (rest.length) rows.push(sumRow(say("net.linear.rest", { count: rest.length }), rest.reduce((sum, term) => sum + term.product, 0)));
  if (node.weights.bias) rows.push(sumRow(say("net.bias"), node.weights.bias.data[place.channel]));
  return rows;
}

function poolRows(node, place) {
  const window = readWindow(net.nodes, net.values, place, place.channel);
  if (window.length * window[0].length > 64) {
    return largestFirst(window.flat().filter((term) => term.place), ({ value }) => value).slice(0, TOP_TERMS)
      .map((term) => followRow(placeText(term.place), term.value, term.place));
  }
  const value = valueAt(place);
  const rows = window.map((cells) => element("tr", {}, ...cells.map((cell) => {
    const button = element("button", { type: "button", className: "pixel link", disabled: !cell.place }, cell.place ? shown(cell.value) : "");
    if (cell.place) button.addEventListener("click", () => go(cell.place));
    const kept = node.kind.includes("max") && cell.place && cell.value === value;
    return element("td", { className: kept ? "kept" : "" }, button);
  })));
  const table = element("table", { className: "products" }, element("tbody", {}, ...rows));
  table.dataset.size = window[0].length;
  return [element("div", { className: "products-box" }, table)];
}

function batchNormRows(node, place) {
  const [term] = plainTerms(net.nodes, net.values, place);
  const { running_mean: mean, running_var: variance, weight, bias } = node.weights;
  const c = place.channel;
  const scale = `√(${shown(variance.data[c])} + ε)`;
  const affine = weight ? ` × ${shown(weight.data[c])} + ${shown(bias.data[c])}` : "";
  const line = `(${shown(term.value)} − ${shown(mean.data[c])}) / ${scale}${affine} = ${shown(valueAt(place))}`;
  return [element("p", { className: "formula" }, line), followRow(placeText(term.place), term.value, term.place)];
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
  net.shift = shift.length === 2 && shift.every(Number.isInteger) ? shift.map((by) => clamp(by, -shape[1], shape[1])) : [0, 0];
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
