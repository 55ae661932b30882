// "Your network": its answer, and the class map.

const ONE_LINE = 14; // letters; longer names get two, so that all rows are as high whatever stands in them
const LONGEST_NAME = 28;

// Names that begin alike are told apart by their ends.
function shortened(name) {
  const half = LONGEST_NAME / 2;
  return name.length > LONGEST_NAME ? `${name.slice(0, half - 1)}…${name.slice(-half)}` : name;
}

function makeBars() {
  const { classes } = PAGE.network;
  netIds.bars.classList.toggle("long", classes.some((name) => name.length > ONE_LINE));
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
  return PAGE.network.cut ? null : classShares(net.values.at(-1).data, PAGE.network);
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
    row.children[0].textContent = shortened(PAGE.network.classes[k]);
    row.title = PAGE.network.classes[k];
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
  const { shape } = net.nodes[0];
  shapeCanvas(netIds.map, shape[1], shape[2]);
  const { context, width, height } = prepare(netIds.map);
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
