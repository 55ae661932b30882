// "Your network": the picture, chosen, drawn on, shifted and turned.

function givenPicture(number) {
  return openPixels(PAGE.network.pictures[number]);
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
  net.values = computeNetwork(net.nodes, tensor(shape, normalise(net.input, shape, PAGE.network)));
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
    const limit = (limits[cut.reason] || 0).toLocaleString("en");
    remarks.push(say(`net.cut.${cut.reason}`, { ...cut, limit }));
  }
  if (permuted) remarks.push(say("net.permuted"));
  if (text) remarks.push(text);
  netIds.message.textContent = remarks.join(" ");
  netIds.message.hidden = !remarks.length;
}
