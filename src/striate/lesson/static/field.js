// The screen "Receptive field": a stack of layers in one dimension, the cone of one unit, and what blocks cost.

const STACKS = {
  plain: [["conv", 3, 1, 1], ["conv", 3, 1, 1]],
  strided: [["conv", 3, 2, 1], ["conv", 5, 1, 1]],
  pooled: [["conv", 3, 1, 1], ["pool", 2, 2, 1], ["conv", 3, 1, 1]],
  dilated: [["conv", 3, 1, 1], ["conv", 3, 1, 2], ["conv", 3, 1, 4]],
};
const FIELD_LENGTH = 25;
const MAX_FIELD_LAYERS = 5;
const FIELD_LIMITS = { size: [1, 7], stride: [1, 3], dilation: [1, 4] };

const fieldState = { layers: [], unit: 0, channels: 64, side: 28, rows: [] };
const fieldIds = {};
const drawFieldSoon = oncePerFrame(drawField);

function startField() {
  for (const node of document.querySelectorAll("[id^=field-]")) fieldIds[node.id.slice(6)] = node;
  for (const name of Object.keys(STACKS)) {
    const button = element("button", { type: "button" }, say(`field.stack.${name}`));
    button.addEventListener("click", () => setLayers(STACKS[name].map(layerOf)));
    fieldIds.stacks.append(button);
  }
  fieldIds.conv.addEventListener("click", () => setLayers([...fieldState.layers, layerOf(["conv", 3, 1, 1])]));
  fieldIds.pool.addEventListener("click", () => setLayers([...fieldState.layers, layerOf(["pool", 2, 2, 1])]));
  fieldIds.cone.addEventListener("pointermove", chooseUnit);
  fieldIds.cone.addEventListener("pointerdown", chooseUnit);
  fieldIds.cone.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    moveUnit(fieldState.unit + step);
  });
  for (const name of ["channels", "side"]) {
    fieldIds[name].addEventListener("input", () => {
      fieldState[name] = Number(fieldIds[name].value);
      drawBlocks();
      writeAddress();
    });
  }
  watchSize(fieldIds.cone, drawFieldSoon);
  addScreen({ name: "field", draw: drawField, write: writeField, read: readField });
}

function layerOf([kind, size, stride, dilation]) {
  return { kind, size, stride, dilation };
}

function setLayers(layers) {
  const usable = layers.slice(0, MAX_FIELD_LAYERS);
  while (usable.length > 1 && fieldCounts(usable).at(-1) < 1) usable.pop();
  fieldState.layers = usable;
  fieldState.unit = fieldCounts(usable).at(-1) >> 1;
  buildLayerRows();
  drawField();
  writeAddress();
}

// ---- Arithmetic

// How many units each layer has, the input first; no padding.
function fieldCounts(layers) {
  const counts = [FIELD_LENGTH];
  for (const { size, stride, dilation } of layers) counts.push(windowCount(counts.at(-1), [0, 0], size, stride, dilation));
  return counts;
}

// Field and step of a unit of every layer: r + (k - 1) d j, and j s (Araujo et al. 2019, eq. 2).
function fieldSizes(layers) {
  let [field, jump] = [1, 1];
  return layers.map(({ size, stride, dilation }) => {
    const before = { field, jump };
    field += (size - 1) * dilation * jump;
    jump *= stride;
    return { field, jump, before };
  });
}

// Which units of every layer the chosen unit of the last depends on, the input first.
function fieldCone(layers, unit) {
  const cone = [new Set([unit])];
  for (const { size, stride, dilation } of [...layers].reverse()) {
    const below = new Set();
    for (const place of cone[0]) for (let k = 0; k < size; k++) below.add(place * stride + k * dilation);
    cone.unshift(below);
  }
  return cone;
}

// ---- Drawing

function buildLayerRows() {
  const rows = fieldState.layers.map((layer, number) => {
    const cells = ["size", "stride", "dilation"].map((name) => {
      const select = element("select", { "aria-label": say("field.of", { what: say(`conv.${name}`), number: number + 1 }) });
      const [low, high] = FIELD_LIMITS[name];
      for (let value = low; value <= high; value++) select.append(element("option", { value }, String(value)));
      select.value = layer[name];
      select.disabled = name === "dilation" && layer.kind === "pool";
      select.addEventListener("change", () => {
        const layers = fieldState.layers.map((one) => ({ ...one }));
        layers[number][name] = Number(select.value);
        setLayers(layers);
      });
      return element("td", {}, select);
    });
    const remove = element("button", { type: "button", "aria-label": say("field.remove", { number: number + 1 }) }, "×");
    remove.disabled = fieldState.layers.length === 1;
    remove.addEventListener("click", () => setLayers(fieldState.layers.filter((_, i) => i !== number)));
    const [sizeCell, jumpCell] = [element("td", { className: "as-picture n" }), element("td", { className: "n" })];
    return element("tr", {}, element("th", { scope: "row" }, `${number + 1}. ${say(`field.${layer.kind}`)}`), ...cells, sizeCell, jumpCell, element("td", {}, remove));
  });
  fieldIds.rows.replaceChildren(...rows);
}

function drawField() {
  if (byId("screen-field").hidden) return;
  const { layers, unit } = fieldState;
  const sizes = fieldSizes(layers);
  [...fieldIds.rows.children].forEach((row, i) => {
    row.querySelectorAll(".n")[0].textContent = sizes[i].field;
    row.querySelectorAll(".n")[1].textContent = sizes[i].jump;
  });
  const { field, before } = sizes.at(-1);
  const { size, dilation } = layers.at(-1);
  fieldIds.formula.textContent = `${before.field} + (${size} − 1) · ${dilation} · ${before.jump} = ${field}`;
  fieldIds.sentence.textContent = say("field.sentence", { field, unit: unit + 1 });
  const full = layers.length >= MAX_FIELD_LAYERS;
  fieldIds.conv.disabled = fieldIds.pool.disabled = full;
  fieldIds.cone.setAttribute("aria-label", say("field.cone.label", { field, unit: unit + 1, layers: layers.length }));
  drawCone(layers, unit);
  drawBlocks();
}

// Where a unit of a layer lies over the input: the middle of its field.
function unitMiddle(layers, depth, place) {
  let middle = place;
  for (const { size, stride, dilation } of layers.slice(0, depth).reverse()) middle = middle * stride + ((size - 1) * dilation) / 2;
  return middle;
}

function conePoint(layers, depth, place, width, height) {
  const rows = layers.length + 1;
  const cell = width / FIELD_LENGTH;
  const space = height / rows;
  return { x: (unitMiddle(layers, depth, place) + 0.5) * cell, y: height - (depth + 0.5) * space, cell: Math.min(cell, space) };
}

function drawCone(layers, unit) {
  const { context, width, height } = prepare(fieldIds.cone);
  const counts = fieldCounts(layers);
  const cone = fieldCone(layers, unit);
  context.lineWidth = 1.5;
  context.strokeStyle = colour("kernel");
  layers.forEach(({ size, stride, dilation }, depth) => {
    for (const place of cone[depth + 1]) {
      const from = conePoint(layers, depth + 1, place, width, height);
      for (let k = 0; k < size; k++) {
        const to = conePoint(layers, depth, place * stride + k * dilation, width, height);
        context.beginPath();
        context.moveTo(from.x, from.y);
        context.lineTo(to.x, to.y);
        context.stroke();
      }
    }
  });
  counts.forEach((count, depth) => {
    for (let place = 0; place < count; place++) {
      const { x, y, cell } = conePoint(layers, depth, place, width, height);
      const inside = cone[depth].has(place);
      const role = depth === 0 ? "picture" : depth === layers.length ? "output" : "ink";
      context.fillStyle = inside ? colour(role) : colour("shade");
      context.strokeStyle = inside ? colour(role) : colour("quiet");
      context.lineWidth = 1;
      const side = Math.min(cell * 0.72, 26);
      context.fillRect(x - side / 2, y - side / 2, side, side);
      context.strokeRect(x - side / 2, y - side / 2, side, side);
    }
  });
}

function chooseUnit(event) {
  const { layers } = fieldState;
  const box = fieldIds.cone.getBoundingClientRect();
  const count = fieldCounts(layers).at(-1);
  let best = 0;
  for (let place = 0; place < count; place++) {
    const away = (one) => Math.abs(conePoint(layers, layers.length, one, box.width, box.height).x - (event.clientX - box.left));
    if (away(place) < away(best)) best = place;
  }
  moveUnit(best);
}

function moveUnit(unit) {
  const wanted = clamp(unit, 0, fieldCounts(fieldState.layers).at(-1) - 1);
  if (wanted === fieldState.unit) return;
  fieldState.unit = wanted;
  drawFieldSoon();
  writeAddress();
}

// ---- Blocks

// Five ways from C maps to C maps: branches of convolutions [kernel height, kernel width, in, out].
function blockDesigns(channels) {
  const [half, quarter] = [channels / 2, channels / 4];
  return {
    plain: [[[3, 3, channels, channels]]],
    factorised: [[[1, 3, channels, channels], [3, 1, channels, channels]]],
    bottleneck: [[[1, 1, channels, quarter], [3, 3, quarter, quarter], [1, 1, quarter, channels]]],
    parallel: [[[1, 1, channels, half]], [[1, 1, channels, quarter], [3, 3, quarter, quarter]], [[1, 1, channels, quarter], [5, 5, quarter, quarter]]],
    residual: [[[3, 3, channels, channels], [3, 3, channels, channels]], []],
  };
}

// Weights and biases; a multiply-add for each of them at every position (padding keeps the size).
function blockCost(branches, side) {
  const parameters = branches.flat().reduce((sum, [height, width, from, to]) => sum + to * (from * height * width + 1), 0);
  return { parameters, work: parameters * side * side };
}

function drawBlocks() {
  const { channels, side } = fieldState;
  const designs = Object.entries(blockDesigns(channels)).map(([name, branches]) => ({ name, branches, ...blockCost(branches, side) }));
  const most = Math.max(...designs.map(({ parameters }) => parameters));
  fieldIds.blocks.replaceChildren(...designs.map(({ name, branches, parameters, work }) => {
    const bar = element("i", { className: "cost" });
    bar.style.width = `${(100 * parameters) / most}%`;
    const ways = branches.map((way) =>
      element("span", { className: "way" }, ...(way.length ? way.map(([height, width, , to]) => element("span", { className: "op" }, `${height}×${width}`, element("small", {}, String(to)))) : [say("field.block.around")])),
    );
    const join = branches.length > 1 ? [element("span", { className: "quiet" }, say(`field.block.join.${name}`))] : [];
    return element(
      "div", { className: "block" }, element("h3", {}, say(`field.block.${name}`)), element("div", { className: "ways" }, ...ways), ...join,
      element("p", { className: "quiet" }, say(`field.block.${name}.about`)), bar,
      element("p", { className: "costs" }, say("field.block.cost", { parameters: parameters.toLocaleString("en"), work: work.toLocaleString("en") })),
    );
  }));
  fieldIds.channels.value = channels;
  fieldIds.side.value = side;
}

// ---- Address

function writeField() {
  const { layers, unit, channels, side } = fieldState;
  return { layers: layers.map(({ kind, size, stride, dilation }) => [kind, size, stride, dilation].join(".")).join("_"), unit, channels, side };
}

function readField(state) {
  const parts = (state.get("layers") || "").split("_").map((text) => /^(conv|pool)\.([1-7])\.([1-3])\.([1-4])$/.exec(text));
  const read = parts.every(Boolean) ? parts.map(([, kind, ...numbers]) => layerOf([kind, ...numbers.map(Number)])) : STACKS.plain.map(layerOf);
  for (const name of ["channels", "side"]) {
    const options = [...fieldIds[name].options].map(({ value }) => Number(value));
    const value = Number(state.get(name));
    fieldState[name] = options.includes(value) ? value : fieldState[name];
  }
  const usable = read.slice(0, MAX_FIELD_LAYERS);
  while (usable.length > 1 && fieldCounts(usable).at(-1) < 1) usable.pop();
  fieldState.layers = usable;
  const last = fieldCounts(usable).at(-1) - 1;
  fieldState.unit = numberIn(state, "unit", last >> 1, 0, last);
  buildLayerRows();
}
