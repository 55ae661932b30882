// "Your network": the picture and the maps of a layer, drawn.

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
  shapeCanvas(netIds.input, shape[1], shape[2]);
  const { context, width, height } = prepare(netIds.input);
  const grid = (net.inputGrid = layGrid(width, height, shape[1], shape[2]));
  drawPixels(context, grid, net.input, shape);
  const field = fieldOf(net.nodes, net.place);
  frameCells(context, grid, field.top, field.left, field.bottom - field.top + 1, field.right - field.left + 1, "kernel", 3);
  if (document.activeElement === netIds.input) frameCells(context, grid, net.cursor.row, net.cursor.column, 1, 1, "picture", 2);
  netIds.field.textContent = say("net.field", { height: field.bottom - field.top + 1, width: field.right - field.left + 1 });
}

// Maps as grey levels in tiles, on a grid of all their values; a row of features as cells with their numbers.
function drawMaps() {
  const node = net.nodes[net.place.node];
  const { data } = net.values[net.place.node];
  const range = valueRange(data);
  const [count, mapHeight = 1, mapWidth = 1] = node.shape;
  net.across = mapsAcross(count, mapHeight, mapWidth);
  const [rows, columns] = [Math.ceil(count / net.across) * mapHeight, net.across * mapWidth];
  shapeCanvas(netIds.maps, rows, columns);
  const { context, width, height } = prepare(netIds.maps);
  net.mapsGrid = layGrid(width, height, rows, columns);
  if (isMaps(node)) drawTiles(context, node, data, range);
  else {
    drawValues(context, net.mapsGrid, data, range);
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
