// The screen "Convolution": one kernel on one picture, stop by stop.

const SIDES = [6, 8, 10, 12, 16, 20, 28];
const SETTINGS = { size: [1, 7], stride: [1, 4], padding: [0, 3], dilation: [1, 3] };
const STEP_MS = 280;
const START = 0.435; // on the house's wall: a first sum that is not zero

const conv = {
  picture: "house", side: 12, pixels: null,
  kernel: "sobel-x", weights: [], size: 3, stride: 1, padding: 1, dilation: 1, flip: false,
  position: 0, filled: 0, drawing: false, cursor: 0,
  output: null, range: null, timer: 0, inputGrid: null, outputGrid: null,
};

const convIds = {};
const drawConvolutionSoon = oncePerFrame(drawConvolution);

function startConvolution() {
  for (const node of document.querySelectorAll("[id^=conv-]")) convIds[node.id.slice(5)] = node;
  makePictureButtons();
  makeKernelButtons();
  makeSteppers();
  for (const side of SIDES) convIds.side.append(element("option", { value: side }, `${side} × ${side}`));
  listenToPlayer();
  listenToCanvases();
  listenToPictures();
  const [plain, turned] = convIds.flip.querySelectorAll("button");
  plain.addEventListener("click", () => change({ flip: false }));
  turned.addEventListener("click", () => change({ flip: true }));
  convIds.copy.addEventListener("click", copyCode);
  watchSize(convIds.input, drawConvolutionSoon);
  watchSize(convIds.output, drawConvolutionSoon);
  addScreen({ name: "convolution", draw: drawConvolution, write: writeConvolution, read: readConvolution });
}

// ---- Controls

function makePictureButtons() {
  const choices = [...PAGE.pictures, { id: "dot", name: say("picture.dot") }];
  for (const { id, name } of choices) {
    const values = pictureValues(id, id === "dot" ? 13 : PAGE.pictureSide);
    const picture = thumbnail(values, Math.sqrt(values.length), { low: 0, high: 1 });
    const button = element("button", { type: "button", className: "thumb" }, picture, element("span", {}, name));
    button.dataset.picture = id;
    button.addEventListener("click", () => choosePicture(id));
    convIds.pictures.append(button);
  }
}

function makeKernelButtons() {
  for (const [id, rows] of Object.entries(PAGE.kernels)) {
    const values = rows.flat();
    const picture = thumbnail(values, rows.length, symmetricRange(values));
    const button = element("button", { type: "button", className: "thumb-line" }, picture, say(`kernel.${id}`));
    button.dataset.kernel = id;
    button.addEventListener("click", () => chooseKernel(id));
    convIds.kernels.append(button);
  }
}

// Grey for zero, lighter above, darker below.
function symmetricRange(values) {
  const high = Math.max(...values.map(Math.abs)) || 1;
  return { low: -high, high };
}

function makeSteppers() {
  for (const [name, [low, high]] of Object.entries(SETTINGS)) {
    const what = say(`conv.${name}`);
    const value = element("output", { id: `conv-value-${name}` });
    const button = (sign, by, label) => {
      const made = element("button", { type: "button", "aria-label": say(label, { what }) }, sign);
      made.addEventListener("click", () => changeSetting(name, clamp(conv[name] + by, low, high)));
      return made;
    };
    convIds.steppers.append(
      element(
        "div", { className: "stepper", role: "group", "aria-label": what },
        element("span", {}, what, element("small", {}, say(`conv.${name}.help`))),
        button("−", -1, "conv.less"), value, button("+", 1, "conv.more"),
      ),
    );
    convIds[`value-${name}`] = value;
  }
}

function listenToPlayer() {
  convIds.play.addEventListener("click", () => (conv.timer ? pause() : play()));
  convIds.back.addEventListener("click", () => moveTo(conv.position - 1));
  convIds.next.addEventListener("click", () => moveTo(conv.position + 1));
  convIds.all.addEventListener("click", () => moveTo(conv.output.data.length - 1));
  convIds.position.addEventListener("input", () => moveTo(Number(convIds.position.value)));
}

function listenToCanvases() {
  const { input, output } = convIds;
  let painting = null;
  input.addEventListener("pointerdown", (event) => {
    const place = cellAt(input, conv.inputGrid, event);
    if (!conv.drawing) return lookAt(place);
    input.setPointerCapture(event.pointerId);
    const old = conv.pixels[pixelPlace(place)];
    painting = old > 0.5 ? 0 : 1;
    paint(place, painting);
  });
  input.addEventListener("pointermove", (event) => {
    const place = cellAt(input, conv.inputGrid, event);
    if (painting !== null) paint(place, painting);
    else if (!conv.drawing && !conv.timer) lookAt(place);
  });
  for (const end of ["pointerup", "pointercancel"]) input.addEventListener(end, () => (painting = null));
  for (const kind of ["pointerdown", "pointermove"]) {
    output.addEventListener(kind, (event) => {
      if (conv.timer) return;
      const { row, column } = cellAt(output, conv.outputGrid, event);
      look(row * conv.output.shape[2] + column);
    });
  }
  for (const canvas of [input, output]) canvas.addEventListener("keydown", moveByKey);
}

function moveByKey(event) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (conv.drawing && event.currentTarget === convIds.input) return drawByKey(event, step);
  if (!step) return;
  event.preventDefault();
  pause();
  const [, rows, columns] = conv.output.shape;
  const row = clamp(Math.floor(conv.position / columns) + step[0], 0, rows - 1);
  const column = clamp((conv.position % columns) + step[1], 0, columns - 1);
  look(row * columns + column);
}

function drawByKey(event, step) {
  const { side } = conv;
  if (step) {
    const row = clamp(Math.floor(conv.cursor / side) + step[0], 0, side - 1);
    conv.cursor = row * side + clamp((conv.cursor % side) + step[1], 0, side - 1);
  } else if (/^[0-9]$/.test(event.key)) setPixel(conv.cursor, event.key === "0" ? 0 : Number(event.key) / 10);
  else if (event.key === " ") setPixel(conv.cursor, conv.pixels[conv.cursor] > 0.5 ? 0 : 1);
  else return;
  event.preventDefault();
  drawConvolutionSoon();
}

function listenToPictures() {
  convIds.draw.addEventListener("click", () => {
    pause();
    conv.drawing = !conv.drawing;
    drawConvolution();
  });
  convIds.erase.addEventListener("click", () => {
    Object.assign(conv, { pixels: new Float32Array(conv.side ** 2), picture: "drawn", drawing: true });
    change({});
  });
  convIds.side.addEventListener("change", () => {
    const side = Number(convIds.side.value);
    const old = conv.pixels;
    conv.pixels = conv.picture === "drawn" ? tenths(resizeSquare(old, conv.side, side)) : null;
    change({ side });
  });
  takeFiles(byId("screen-convolution"), convIds.file, openPicture);
}

async function openPicture(file) {
  const { side } = conv;
  try {
    const { size: [width, height], bytes } = await readImageFile(file, 4 * side, 4 * side, true);
    conv.pixels = tenths(resizeSquare(greyPixels(bytes), 4 * side, side));
    tell(say("picture.scaled", { name: file.name, width, height, side }));
    change({ picture: "drawn" });
  } catch {
    tell(say("picture.refused", { name: file.name }));
  }
}

function tell(text) {
  convIds.message.textContent = text;
  convIds.message.hidden = !text;
}

// ---- State

// Brightness in tenths keeps the arithmetic short.
function tenths(values) {
  return values.map((value) => Math.round(10 * value) / 10);
}

function choosePicture(id) {
  conv.pixels = null;
  conv.drawing = false;
  tell("");
  change({ picture: id });
}

function chooseKernel(id) {
  const rows = PAGE.kernels[id];
  tell("");
  change({ kernel: id, weights: rows.flat(), size: rows.length });
}

function changeSetting(name, value) {
  if (name !== "size" || value === conv.size) return change({ [name]: value });
  const weights = resizeKernel(conv.weights, conv.size, value);
  change({ size: value, weights, kernel: "own" });
}

// A larger kernel gets zeros around; a smaller one keeps the middle.
function resizeKernel(weights, from, to) {
  const shift = Math.floor(to / 2) - Math.floor(from / 2);
  return Array.from({ length: to * to }, (_, place) => {
    const row = Math.floor(place / to) - shift;
    const column = (place % to) - shift;
    return row >= 0 && row < from && column >= 0 && column < from ? weights[row * from + column] : 0;
  });
}

function change(changes) {
  pause();
  const before = conv.output ? conv.position / conv.output.data.length : 0;
  Object.assign(conv, changes);
  if (!conv.pixels) conv.pixels = tenths(pictureValues(conv.picture, conv.side));
  fitKernel(Object.keys(changes)[0]);
  compute();
  conv.position = Math.min(Math.round(before * conv.output.data.length), conv.output.data.length - 1);
  conv.filled = conv.output.data.length - 1;
  rebuildProducts();
  drawConvolution();
  writeAddress();
}

function reach() {
  return conv.dilation * (conv.size - 1) + 1;
}

// The window must fit on the padded picture; what was not just changed gives way.
function fitKernel(changed) {
  if (reach() <= conv.side + 2 * conv.padding) return;
  tell(say("conv.toolarge", { reach: reach() }));
  while (reach() > conv.side + 2 * conv.padding) {
    if (conv.dilation > 1 && (changed !== "dilation" || conv.size === 1)) conv.dilation -= 1;
    else if (conv.padding < SETTINGS.padding[1] && changed !== "padding") conv.padding += 1;
    else if (conv.dilation > 1) conv.dilation -= 1;
    else {
      conv.weights = resizeKernel(conv.weights, conv.size, conv.size - 1);
      conv.size -= 1;
    }
  }
}

// The weights as they lie on the picture: turned by half a turn in a true convolution.
function laid() {
  return conv.flip ? conv.weights.slice().reverse() : conv.weights;
}

function compute() {
  const { side, size, stride, padding, dilation } = conv;
  const picture = tensor([1, side, side], conv.pixels);
  const weight = tensor([1, 1, size, size], Float32Array.from(laid()));
  const sides = [[padding, padding], [padding, padding]];
  const args = { stride: [stride, stride], sides, dilation: [dilation, dilation], groups: 1 };
  conv.output = conv2d(picture, weight, null, args);
  conv.range = valueRange(conv.output.data);
}

function pixelPlace({ row, column }) {
  const y = clamp(row - conv.padding, 0, conv.side - 1);
  return y * conv.side + clamp(column - conv.padding, 0, conv.side - 1);
}

function paint(place, value) {
  conv.cursor = pixelPlace(place);
  setPixel(conv.cursor, value);
}

function setPixel(place, value) {
  conv.pixels[place] = value;
  conv.picture = "drawn";
  compute();
  drawConvolutionSoon();
  writeAddress();
}

// ---- Moving

function play() {
  if (conv.position >= conv.output.data.length - 1) moveTo(0);
  conv.filled = conv.position;
  conv.timer = setInterval(() => {
    if (conv.position >= conv.output.data.length - 1) return pause();
    conv.position += 1;
    conv.filled = conv.position;
    drawConvolution();
  }, STEP_MS);
  drawConvolution();
}

function pause() {
  if (!conv.timer) return;
  clearInterval(conv.timer);
  conv.timer = 0;
  drawConvolutionSoon();
  writeAddress();
}

// Moves the window; the output is filled as far as it has come.
function moveTo(position) {
  pause();
  conv.position = clamp(position, 0, conv.output.data.length - 1);
  conv.filled = conv.position;
  drawConvolutionSoon();
  writeAddress();
}

// Moves the window without touching what is filled.
function look(position) {
  if (position === conv.position) return;
  conv.position = position;
  drawConvolutionSoon();
  writeAddress();
}

// The window whose middle is nearest to a pixel.
function lookAt({ row, column }) {
  const [, rows, columns] = conv.output.shape;
  const nearest = (place, count) => clamp(Math.round((place - (reach() - 1) / 2) / conv.stride), 0, count - 1);
  look(nearest(row, rows) * columns + nearest(column, columns));
}

// ---- Address

function writeConvolution() {
  const { side, stride, padding, dilation, position, filled } = conv;
  const state = { picture: conv.picture, side, stride, padding, dilation, at: position, filled };
  if (conv.flip) state.turned = 1;
  if (conv.picture === "drawn") state.pixels = Array.from(conv.pixels, (value) => Math.round(10 * value).toString(11)).join("");
  if (conv.kernel === "own") state.weights = conv.weights.map((value) => Number(value.toPrecision(6))).join(",");
  else state.kernel = conv.kernel;
  return state;
}

function readConvolution(state) {
  const side = SIDES.includes(Number(state.get("side"))) ? Number(state.get("side")) : 12;
  const pixels = readPixels(state.get("pixels") || "", side);
  const known = [...PAGE.pictures.map(({ id }) => id), "dot"];
  const picture = known.includes(state.get("picture")) ? state.get("picture") : PAGE.pictures[0].id;
  const weights = (state.get("weights") || "").split(",").map(parseNumber);
  const size = Math.sqrt(weights.length);
  const own = Number.isInteger(size) && size <= SETTINGS.size[1] && weights.every((value) => value !== null);
  const kernel = Object.hasOwn(PAGE.kernels, state.get("kernel")) ? state.get("kernel") : Object.keys(PAGE.kernels)[0];
  const rows = PAGE.kernels[kernel];
  Object.assign(conv, { side, pixels, picture: pixels ? "drawn" : picture, flip: state.get("turned") === "1" });
  Object.assign(conv, own ? { kernel: "own", weights, size } : { kernel, weights: rows.flat(), size: rows.length });
  for (const name of ["stride", "padding", "dilation"]) {
    conv[name] = numberIn(state, name, 1, ...SETTINGS[name]);
  }
  change({});
  const last = conv.output.data.length - 1;
  const middle = Math.floor(last * START);
  conv.position = numberIn(state, "at", middle, 0, last);
  conv.filled = numberIn(state, "filled", conv.position, 0, last);
}

function readPixels(text, side) {
  if (text.length !== side * side || !/^[0-9a]+$/.test(text)) return null;
  return Float32Array.from(text, (letter) => parseInt(letter, 11) / 10);
}
