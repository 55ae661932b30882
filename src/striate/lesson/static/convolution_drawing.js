// "Convolution": picture, window, sum, output and formula, drawn.

function rebuildProducts() {
  const { size } = conv;
  const rows = Array.from({ length: size }, (_, i) => {
    const cells = Array.from({ length: size }, (_, j) => productCell(i, j));
    return element("tr", {}, ...cells);
  });
  convIds.products.replaceChildren(element("tbody", {}, ...rows));
  convIds.products.dataset.size = size;
}

function productCell(i, j) {
  const label = say("conv.weight.label", { row: i + 1, column: j + 1 });
  const value = laid()[i * conv.size + j];
  const input = element("input", { type: "text", inputMode: "text", autocomplete: "off", "aria-label": label });
  input.value = shown(value);
  input.addEventListener("focus", () => input.select());
  input.addEventListener("input", () => typeWeight(i * conv.size + j, input));
  input.addEventListener("blur", () => (input.value = shown(laid()[i * conv.size + j])));
  return element(
    "td", {},
    element("span", { className: "pixel" }), element("span", { className: "times" }, "×"), input,
    element("span", { className: "product" }),
  );
}

// A number as people type it: a comma, a true minus, a fraction.
function parseNumber(text) {
  const plain = text.trim().replace("−", "-").replace(",", ".");
  const parts = /^([-+]?\d*\.?\d+)(?:\/(\d*\.?\d+))?$/.exec(plain);
  const value = parts ? Number(parts[1]) / Number(parts[2] || 1) : NaN;
  return Number.isFinite(value) && Math.abs(value) <= 1000 ? value : null;
}

function typeWeight(place, input) {
  const value = parseNumber(input.value);
  input.setAttribute("aria-invalid", value === null);
  if (value === null) return;
  const weights = conv.weights.slice();
  weights[conv.flip ? weights.length - 1 - place : place] = value;
  Object.assign(conv, { weights, kernel: "own" });
  compute();
  drawConvolutionSoon();
  writeAddress();
}

function drawConvolution() {
  if (byId("screen-convolution").hidden) return;
  const columns = conv.output.shape[2];
  const stop = { row: Math.floor(conv.position / columns), column: conv.position % columns };
  drawInput(stop);
  drawOutput(stop);
  writeProducts(stop);
  writeControls(stop);
  writeNotes();
}

function drawInput(stop) {
  const { side, padding, size, stride, dilation } = conv;
  const { context, width, height } = prepare(convIds.input);
  const whole = side + 2 * padding;
  const grid = (conv.inputGrid = layGrid(width, height, whole, whole));
  drawPadding(context, grid);
  const texts = fitTexts(context, grid, conv.pixels);
  conv.pixels.forEach((value, i) => {
    const place = (Math.floor(i / side) + padding) * whole + (i % side) + padding;
    drawCell(context, grid, place, Math.round(255 * value), texts[i]);
  });
  crossOutUnread(context, grid);
  const [top, left] = [stop.row * stride, stop.column * stride];
  if (dilation > 1) {
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) frameCells(context, grid, top + i * dilation, left + j * dilation, 1, 1, "kernel", 2);
    }
  }
  frameCells(context, grid, top, left, reach(), reach(), "kernel", dilation > 1 ? 1.5 : 3.5);
  if (conv.drawing) {
    frameCells(context, grid, Math.floor(conv.cursor / side) + padding, (conv.cursor % side) + padding, 1, 1, "picture", 2.5);
  }
}

function crossOutUnread(context, grid) {
  const { side, padding } = conv;
  let unread = 0;
  const read = readRows();
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      if (read[y + padding] && read[x + padding]) continue;
      crossOut(context, grid, y + padding, x + padding);
      unread += 1;
    }
  }
  const key = unread === 0 ? "none" : unread === 1 ? "one" : "many";
  write(convIds.unread, say(`conv.unread.${key}`, { count: unread }));
}

function drawPadding(context, grid) {
  const { side, padding } = conv;
  const inside = (place) => place >= padding && place < side + padding;
  centreText(context, Math.min(14, grid.cell * 0.4));
  for (let row = 0; row < grid.rows; row++) {
    for (let column = 0; column < grid.columns; column++) {
      if (!inside(row) || !inside(column)) drawZero(context, grid, row, column);
    }
  }
}

function drawZero(context, grid, row, column) {
  const x = grid.left + column * grid.cell;
  const y = grid.top + row * grid.cell;
  context.fillStyle = colour("shade");
  context.fillRect(x + 0.5, y + 0.5, grid.cell - 1, grid.cell - 1);
  if (grid.cell < 14) return;
  context.fillStyle = colour("quiet");
  context.fillText("0", x + grid.cell / 2, y + grid.cell / 2 + 0.5);
}

// Which rows of the padded picture any window reads; columns are the same.
function readRows() {
  const read = new Array(conv.side + 2 * conv.padding).fill(false);
  for (let window = 0; window < conv.output.shape[1]; window++) {
    for (let i = 0; i < conv.size; i++) read[window * conv.stride + i * conv.dilation] = true;
  }
  return read;
}

function drawOutput(stop) {
  const [, rows, columns] = conv.output.shape;
  const { context, width, height } = prepare(convIds.output);
  const grid = (conv.outputGrid = layGrid(width, height, rows, columns));
  const texts = fitTexts(context, grid, conv.output.data);
  conv.output.data.forEach((value, place) => {
    if (place <= conv.filled || place === conv.position) {
      drawCell(context, grid, place, greyOf(value, conv.range), texts[place]);
    } else drawEmpty(context, grid, place);
  });
  frameCells(context, grid, stop.row, stop.column, 1, 1, "output", 3.5);
  const [low, , high] = convIds.scale.children;
  write(low, shown(conv.range.low));
  write(high, shown(conv.range.high));
}

function drawEmpty(context, grid, place) {
  const x = grid.left + (place % grid.columns) * grid.cell;
  const y = grid.top + Math.floor(place / grid.columns) * grid.cell;
  context.strokeStyle = colour("line");
  context.lineWidth = 1;
  context.strokeRect(x + 1, y + 1, grid.cell - 2, grid.cell - 2);
}

function writeProducts(stop) {
  const { side, padding, size, stride, dilation } = conv;
  const weights = laid();
  const cells = convIds.products.querySelectorAll("td");
  for (let place = 0; place < size * size; place++) {
    const y = stop.row * stride + Math.floor(place / size) * dilation - padding;
    const x = stop.column * stride + (place % size) * dilation - padding;
    const outside = y < 0 || x < 0 || y >= side || x >= side;
    const pixel = outside ? 0 : conv.pixels[y * side + x];
    const [first, , input, last] = cells[place].children;
    write(first, shown(pixel));
    first.title = outside ? say("conv.zero") : "";
    cells[place].classList.toggle("outside", outside);
    if (document.activeElement !== input) input.value = shown(weights[place]);
    write(last, `= ${shown(pixel * weights[place])}`);
  }
  write(convIds.sum, shown(conv.output.data[conv.position]));
  const where = { count: size * size, row: stop.row + 1, column: stop.column + 1 };
  write(convIds["sum-of"], say("conv.sum.of", where));
}

function writeControls(stop) {
  const [, rows, columns] = conv.output.shape;
  const last = conv.output.data.length - 1;
  const place = { row: stop.row + 1, column: stop.column + 1, value: shown(conv.output.data[conv.position]) };
  convIds.position.max = last;
  convIds.position.value = conv.position;
  convIds.position.setAttribute("aria-valuetext", say("conv.position.value", place));
  write(convIds.play, say(conv.timer ? "conv.pause" : "conv.play"));
  convIds.back.disabled = conv.position === 0;
  convIds.next.disabled = conv.position === last;
  convIds.input.setAttribute("aria-label", say("conv.input.label", { side: conv.side, ...place }));
  convIds.output.setAttribute("aria-label", say("conv.output.label", { rows, columns, ...place }));
  convIds.input.classList.toggle("drawing", conv.drawing);
  write(convIds["input-size"], `${conv.side} × ${conv.side}`);
  write(convIds["output-size"], `${rows} × ${columns}`);
  convIds.draw.setAttribute("aria-pressed", conv.drawing);
  convIds["draw-help"].hidden = !conv.drawing;
  convIds.side.value = conv.side;
  press(convIds.pictures, (button) => button.dataset.picture === conv.picture);
  press(convIds.kernels, (button) => button.dataset.kernel === conv.kernel);
  for (const name of Object.keys(SETTINGS)) {
    const [low, high] = SETTINGS[name];
    const [less, more] = convIds[`value-${name}`].parentElement.querySelectorAll("button");
    write(convIds[`value-${name}`], String(conv[name]));
    less.disabled = conv[name] === low;
    more.disabled = conv[name] === high;
  }
}

function press(group, isChosen) {
  for (const button of group.querySelectorAll("button")) button.setAttribute("aria-pressed", isChosen(button));
}

function writeNotes() {
  const { side, size, stride, padding, dilation, weights } = conv;
  const rows = conv.output.shape[1];
  const [plain, turned] = convIds.flip.querySelectorAll("button");
  plain.setAttribute("aria-pressed", !conv.flip);
  turned.setAttribute("aria-pressed", conv.flip);
  const same = weights.every((value, place) => value === weights[weights.length - 1 - place]);
  write(convIds["flip-same"], say(same ? "conv.flip.same" : "conv.flip.differs"));
  write(convIds.formula, `⌊(${side} + 2 · ${padding} − ${dilation} · (${size} − 1) − 1) / ${stride}⌋ + 1 = ${rows}`);
  write(convIds.code, torchCode());
}

function torchCode() {
  const { size, stride, padding, dilation } = conv;
  const lines = Array.from({ length: size }, (_, i) => `[${laid().slice(i * size, (i + 1) * size).map(exact).join(", ")}]`);
  const indent = ",\n" + " ".repeat(24);
  return [
    "import torch",
    `kernel = torch.tensor([[[${lines.join(indent)}]]])`,
    `output = torch.nn.functional.conv2d(picture, kernel, stride=${stride}, padding=${padding}, dilation=${dilation})`,
  ].join("\n");
}

function exact(value) {
  return Number.isInteger(value) ? `${value}.` : String(Number(value.toPrecision(7)));
}

async function copyCode() {
  try {
    await navigator.clipboard.writeText(convIds.code.textContent);
    convIds.copy.textContent = say("conv.copied");
    setTimeout(() => (convIds.copy.textContent = say("conv.copy")), 1500);
  } catch {
    getSelection().selectAllChildren(convIds.code);
  }
}
