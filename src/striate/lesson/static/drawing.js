// Grids of numbers on a canvas: grey levels, numbers where there is room, frames in the colours of the roles.

const SMALLEST_TEXT = 9; // pixels

let colours = null;

function forgetColours() {
  colours = null;
}

// The colours of the style sheet by name; canvases cannot use its variables.
function colour(name) {
  if (!colours) {
    const probe = element("span", { hidden: true });
    document.body.append(probe);
    colours = {};
    for (const one of ["paper", "ink", "quiet", "line", "shade", "picture", "kernel", "output"]) {
      probe.style.color = `var(--${one})`;
      colours[one] = getComputedStyle(probe).color;
    }
    probe.remove();
  }
  return colours[name];
}

// Makes the canvas as fine as the screen; returns its context and its size in CSS pixels.
function prepare(canvas) {
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  const scale = window.devicePixelRatio || 1;
  const [fineWidth, fineHeight] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== fineWidth) canvas.width = fineWidth;
  if (canvas.height !== fineHeight) canvas.height = fineHeight;
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

// Gives a canvas the shape of what it is to show, as far as a page has room for it.
function shapeCanvas(canvas, rows, columns) {
  canvas.style.aspectRatio = clamp(columns / rows, 0.8, 5);
}

// Where a grid of rows x columns lies on a canvas: cells as large as fit, in the middle.
function layGrid(width, height, rows, columns) {
  const cell = Math.min(width / columns, height / rows);
  return { cell, left: (width - cell * columns) / 2, top: (height - cell * rows) / 2, rows, columns };
}

function cellAt(canvas, grid, event) {
  const box = canvas.getBoundingClientRect();
  const column = Math.floor((event.clientX - box.left - grid.left) / grid.cell);
  const row = Math.floor((event.clientY - box.top - grid.top) / grid.cell);
  return { row: clamp(row, 0, grid.rows - 1), column: clamp(column, 0, grid.columns - 1) };
}

// Values row by row, each with its number where there is room.
function drawValues(context, grid, values, range) {
  const texts = fitTexts(context, grid, values);
  values.forEach((value, place) => drawCell(context, grid, place, greyOf(value, range), texts[place]));
}

// The numbers to stand in the cells, as small as the longest needs it; none where they could not be read.
function fitTexts(context, grid, values) {
  if (grid.cell * 0.4 < SMALLEST_TEXT) return [];
  const texts = Array.from(values, shown);
  const longest = texts.reduce((most, text) => Math.max(most, text.length), 3);
  const size = Math.min(14, grid.cell * 0.4, (grid.cell * 1.62) / longest);
  centreText(context, size);
  return size < SMALLEST_TEXT ? [] : texts;
}

function centreText(context, size) {
  context.font = `${size}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
}

function drawCell(context, grid, place, grey, text) {
  const { cell, columns } = grid;
  const x = grid.left + (place % columns) * cell;
  const y = grid.top + Math.floor(place / columns) * cell;
  const gap = cell > 9 ? 0.5 : 0;
  context.fillStyle = `rgb(${grey},${grey},${grey})`;
  context.fillRect(x + gap, y + gap, cell - 2 * gap, cell - 2 * gap);
  if (text === undefined) return;
  context.fillStyle = grey > 127 ? "#000" : "#fff";
  context.fillText(text, x + cell / 2, y + cell / 2 + 0.5);
}

function frameCells(context, grid, row, column, rows, columns, name, thickness) {
  const { cell } = grid;
  const box = [grid.left + column * cell, grid.top + row * cell, columns * cell, rows * cell];
  context.lineWidth = thickness + 2;
  context.strokeStyle = colour("paper");
  context.strokeRect(...box);
  context.lineWidth = thickness;
  context.strokeStyle = colour(name);
  context.strokeRect(...box);
}

function crossOut(context, grid, row, column) {
  const { cell } = grid;
  const x = grid.left + column * cell;
  const y = grid.top + row * cell;
  const inset = cell * 0.22;
  for (const [stroke, width] of [["#000", Math.max(1.5, cell * 0.09) + 1.5], ["#fff", Math.max(1.5, cell * 0.09)]]) {
    context.strokeStyle = stroke;
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(x + inset, y + inset);
    context.lineTo(x + cell - inset, y + cell - inset);
    context.moveTo(x + cell - inset, y + inset);
    context.lineTo(x + inset, y + cell - inset);
    context.stroke();
  }
}

// A small picture of square values: each value one pixel of the canvas, enlarged by the style sheet.
function thumbnail(values, side, range) {
  const canvas = element("canvas", { width: side, height: side });
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  values.forEach((value, i) => {
    const grey = greyOf(value, range);
    image.data.set([grey, grey, grey, 255], 4 * i);
  });
  context.putImageData(image, 0, 0);
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}

// The page draws again when an element's size changes.
function watchSize(node, draw) {
  new ResizeObserver(draw).observe(node);
}
