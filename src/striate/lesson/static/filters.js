// The screen "Filters": classic kernels on a picture, and Gabor's, with frequency, angle and width to play with.

const BANK = { angles: [0, 45, 90, 135], frequencies: [0.1, 0.2] };
const GABOR = { frequency: [0.03, 0.4, 0.01], angle: [0, 175, 5], sigma: [0.8, 4, 0.1] };

const filtersState = { picture: "cat", frequency: 0.15, angle: 45, sigma: 2, pixels: null };
const filterIds = {};
const drawGaborSoon = oncePerFrame(drawGabor);

function startFilters() {
  for (const node of document.querySelectorAll("[id^=filter-]")) filterIds[node.id.slice(7)] = node;
  for (const { id, name } of PAGE.pictures) {
    const values = pictureValues(id, PAGE.pictureSide);
    const button = element("button", { type: "button", className: "thumb" }, thumbnail(values, PAGE.pictureSide, { low: 0, high: 1 }), element("span", {}, name));
    button.dataset.picture = id;
    button.addEventListener("click", () => chooseFilterPicture(id));
    filterIds.pictures.append(button);
  }
  for (const [name, [low, high, step]] of Object.entries(GABOR)) {
    const slider = filterIds[name];
    Object.assign(slider, { min: low, max: high, step });
    slider.addEventListener("input", () => {
      filtersState[name] = Number(slider.value);
      if (name === "sigma") drawBankSoon();
      drawGaborSoon();
      writeAddress();
    });
  }
  addScreen({ name: "filters", draw: drawFilters, write: writeFilters, read: readFilters });
}

const drawBankSoon = oncePerFrame(drawBank);

function chooseFilterPicture(id) {
  filtersState.picture = id;
  filtersState.pixels = null;
  drawFilters();
  writeAddress();
}

function filterPixels() {
  if (!filtersState.pixels) filtersState.pixels = pictureValues(filtersState.picture, PAGE.pictureSide);
  return filtersState.pixels;
}

// ---- Arithmetic

// The response of a square picture to a kernel (rows of numbers), as large as the picture.
// Beyond the border the picture is mirrored (`reflect`) or goes on with its other side (`wrap`).
function respond(pixels, side, rows, border, flipped = false) {
  const [height, width] = [rows.length, rows[0].length];
  const [top, left] = flipped ? [(height - 1) >> 1, (width - 1) >> 1] : [height >> 1, width >> 1];
  const padded = tensor([1, side + height - 1, side + width - 1]);
  for (let y = 0; y < padded.shape[1]; y++) {
    for (let x = 0; x < padded.shape[2]; x++) {
      const from = beyond(y - top, side, border) * side + beyond(x - left, side, border);
      padded.data[y * padded.shape[2] + x] = pixels[from];
    }
  }
  const flat = Float32Array.from(rows.flat());
  const weight = tensor([1, 1, height, width], flipped ? flat.reverse() : flat);
  return conv2d(padded, weight, null, { stride: [1, 1], sides: [[0, 0], [0, 0]], dilation: [1, 1], groups: 1 }).data;
}

function beyond(place, side, border) {
  if (border === "wrap") return ((place % side) + side) % side;
  if (place < 0) return -place;
  return place < side ? place : 2 * side - 2 - place;
}

// A wave under a bell (Daugman 1985), as scikit-image's `gabor_kernel` computes it: real and imaginary parts.
function gaborKernel(frequency, degrees, sigma) {
  const angle = (degrees * Math.PI) / 180;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const reach = Math.ceil(Math.max(Math.abs(3 * sigma * cos), Math.abs(3 * sigma * sin), 1));
  const places = Array.from({ length: 2 * reach + 1 }, (_, i) => i - reach);
  const part = (wave) =>
    places.map((y) =>
      places.map((x) => {
        const along = x * cos + y * sin;
        const across = y * cos - x * sin;
        const bell = Math.exp(-0.5 * ((along / sigma) ** 2 + (across / sigma) ** 2)) / (2 * Math.PI * sigma ** 2);
        return bell * wave(2 * Math.PI * frequency * along);
      }),
    );
  return { real: part(Math.cos), imaginary: part(Math.sin) };
}

// How strongly each place responds, on the standardised picture: sqrt(real^2 + imaginary^2).
function gaborMagnitude(pixels, side, frequency, degrees, sigma) {
  const mean = pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
  const deviation = Math.sqrt(pixels.reduce((sum, value) => sum + (value - mean) ** 2, 0) / pixels.length) || 1;
  const standard = pixels.map((value) => (value - mean) / deviation);
  const { real, imaginary } = gaborKernel(frequency, degrees, sigma);
  const first = respond(standard, side, real, "wrap", true);
  const second = respond(standard, side, imaginary, "wrap", true);
  return first.map((value, i) => Math.hypot(value, second[i]));
}

// ---- Drawing

function drawFilters() {
  if (byId("screen-filters").hidden) return;
  press(filterIds.pictures, (button) => button.dataset.picture === filtersState.picture);
  drawGallery();
  drawGabor();
  drawBank();
}

function tile(values, width, height, range, role) {
  const canvas = element("canvas", { width, height, className: `tile frame-${role}` });
  canvas.getContext("2d").putImageData(greyImage(values, height, width, range), 0, 0);
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}

function drawGallery() {
  const side = PAGE.pictureSide;
  const cards = PAGE.gallery.map(({ name, about, source, rows }) => {
    const response = respond(filterPixels(), side, rows, "reflect");
    const total = rows.flat().reduce((sum, value) => sum + value, 0);
    const range = Math.abs(total - 1) < 1e-6 ? { low: 0, high: 1 } : symmetricRange(response);
    const card = element(
      "button", { type: "button", className: "card", title: source },
      element("span", { className: "pair" }, tile(rows.flat(), rows[0].length, rows.length, symmetricRange(rows.flat()), "kernel"), tile(response, side, side, range, "output")),
      element("b", {}, name), element("small", {}, about),
    );
    card.addEventListener("click", () => openInConvolution(rows));
    return card;
  });
  filterIds.gallery.replaceChildren(...cards);
}

// A click on a filter shows it step by step.
function openInConvolution(rows) {
  const size = Math.max(rows.length, rows[0].length);
  const weights = Array.from({ length: size * size }, (_, i) => (rows[Math.floor(i / size)] || [])[i % size] || 0);
  const screen = screens.find(({ name }) => name === "convolution");
  showScreen(screen);
  conv.pixels = null;
  change({ picture: filtersState.picture, weights, size, kernel: "own" });
  scrollTo(0, 0);
}

function drawGabor() {
  const { frequency, angle, sigma } = filtersState;
  const side = PAGE.pictureSide;
  const { real } = gaborKernel(frequency, angle, sigma);
  const magnitude = gaborMagnitude(filterPixels(), side, frequency, angle, sigma);
  filterIds.kernel.replaceChildren(tile(real.flat(), real.length, real.length, symmetricRange(real.flat()), "kernel"));
  filterIds.picture.replaceChildren(tile(filterPixels(), side, side, { low: 0, high: 1 }, "picture"));
  filterIds.response.replaceChildren(tile(magnitude, side, side, valueRange(magnitude), "output"));
  for (const name of Object.keys(GABOR)) {
    filterIds[name].value = filtersState[name];
    filterIds[`${name}-value`].textContent = say(`filter.${name}.value`, { value: shown(filtersState[name]), pixels: shown(1 / frequency) });
  }
}

function drawBank() {
  const side = PAGE.pictureSide;
  const found = BANK.frequencies.flatMap((frequency) =>
    BANK.angles.map((angle) => ({ frequency, angle, values: gaborMagnitude(filterPixels(), side, frequency, angle, filtersState.sigma) })),
  );
  const high = Math.max(...found.map(({ values }) => valueRange(values).high));
  const cards = found.map(({ frequency, angle, values }) => {
    const { real } = gaborKernel(frequency, angle, filtersState.sigma);
    const kernel = tile(real.flat(), real.length, real.length, symmetricRange(real.flat()), "kernel");
    const label = say("filter.bank.one", { frequency: shown(frequency), angle });
    const card = element("button", { type: "button", className: "card" }, element("span", { className: "pair" }, kernel, tile(values, side, side, { low: 0, high }, "output")), element("small", {}, label));
    card.addEventListener("click", () => {
      Object.assign(filtersState, { frequency, angle });
      drawGaborSoon();
      writeAddress();
    });
    return card;
  });
  filterIds.bank.replaceChildren(...cards);
}

// ---- Address

function writeFilters() {
  const { picture, frequency, angle, sigma } = filtersState;
  return { picture, frequency, angle, sigma };
}

function readFilters(state) {
  const known = PAGE.pictures.map(({ id }) => id);
  filtersState.picture = known.includes(state.get("picture")) ? state.get("picture") : known.includes("cat") ? "cat" : known[0];
  filtersState.pixels = null;
  for (const [name, [low, high]] of Object.entries(GABOR)) {
    const value = Number(state.get(name) || NaN);
    if (Number.isFinite(value)) filtersState[name] = clamp(value, low, high);
  }
}
