// "Your network": what a value was made of.

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
  if (isMaps(node)) shapeCanvas(netIds.one, node.shape[1], node.shape[2]);
  const { context, width, height } = prepare(netIds.one);
  const { data } = net.values[net.place.node];
  const maps = isMaps(node);
  netIds.one.hidden = !maps;
  net.oneGrid = maps ? layGrid(width, height, node.shape[1], node.shape[2]) : null;
  if (!maps || !width) return;
  const [, rows, columns] = node.shape;
  const values = data.subarray(net.place.channel * rows * columns, (net.place.channel + 1) * rows * columns);
  const range = valueRange(data);
  if (net.oneGrid.cell < 9) drawMap(context, net.oneGrid, values, range);
  else drawValues(context, net.oneGrid, values, range);
  frameCells(context, net.oneGrid, net.place.row, net.place.column, 1, 1, "output", 3);
}

function reasonText(node, place) {
  if (node.kind === "input") {
    const { mean, std } = PAGE.network;
    const raw = net.input[placeIndex(node, place)];
    return say("net.why.pixel", { raw: shown(raw), mean: shown(mean[place.channel]), std: shown(std[place.channel]) });
  }
  if (node.kind.includes("pool")) return poolText(node, place);
  return say(`net.${node.kind}`, { slope: node.args.negative_slope });
}

function poolText(node, place) {
  const cells = pooledWindow(net.nodes, net.values, place).flat();
  const counted = cells.filter((cell) => cell.counted);
  const count = counted.filter((cell) => !cell.place).length;
  const texts = [say(`net.${node.kind}`, { count: counted.length })];
  if (count) texts.push(say(count === 1 ? "net.pool.zero" : "net.pool.zeros", { count }));
  if (counted.length < cells.length) texts.push(say("net.pool.outside"));
  return texts.join(" ");
}

// The rows under "How this number came about", by the kind of the layer.
function terms(node, place) {
  if (node.kind === "input") return [];
  if (node.kind === "conv2d") return convolutionRows(node, place);
  if (node.kind === "linear") return linearRows(node, place);
  if (node.kind.includes("pool")) return poolRows(node, place);
  if (node.kind.includes("softmax")) return softmaxRows(node, place);
  if (node.kind === "batch_norm") return batchNormRows(node, place);
  return plainTerms(net.nodes, net.values, place).map(followTerm);
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
        element("span", { className: "product" }, shown(value * factor)),
      );
    })),
  );
  const table = element("table", { className: "products" }, element("tbody", {}, ...rows));
  table.dataset.size = Math.min(7, Math.max(width, window.length)); // of more, the table scrolls
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
  const window = pooledWindow(net.nodes, net.values, place);
  if (window.length * window[0].length > MOST_CELLS) return manyPooledRows(node, window.flat().filter((term) => term.place));
  const value = valueAt(place);
  const rows = window.map((cells) => element("tr", {}, ...cells.map((cell) => {
    const button = element("button", { type: "button", className: "pixel link", disabled: !cell.place }, cell.counted ? shown(cell.value) : "");
    if (cell.place) button.addEventListener("click", () => go(cell.place));
    const kept = node.kind.includes("max") && cell.place && cell.value === value;
    return element("td", { className: kept ? "kept" : cell.place ? "" : "outside" }, button);
  })));
  const table = element("table", { className: "products" }, element("tbody", {}, ...rows));
  table.dataset.size = window[0].length;
  return [element("div", { className: "products-box" }, table)];
}

function manyPooledRows(node, terms) {
  if (node.kind.includes("max")) return highestRows(terms.sort((a, b) => b.value - a.value));
  const all = largestFirst(terms, ({ value }) => value);
  const rest = all.slice(TOP_TERMS);
  const sum = rest.reduce((total, { value }) => total + value, 0);
  return [...all.slice(0, TOP_TERMS).map(followTerm), sumRow(say("net.pool.rest", { count: rest.length }), sum)];
}

// The first of some numbers in falling order, and the highest of the others.
function highestRows(terms) {
  const rest = terms.slice(TOP_TERMS);
  const rows = terms.slice(0, TOP_TERMS).map(followTerm);
  return rest.length ? [...rows, sumRow(say("net.highest.rest", { count: rest.length }), rest[0].value)] : rows;
}

function followTerm({ place, value }) {
  return followRow(placeText(place), value, place);
}

// The number itself first, then those that it shares with; powers of e beyond a computer's range are not written.
function softmaxRows(node, place) {
  const [own, ...others] = plainTerms(net.nodes, net.values, place);
  const sum = [own, ...others].reduce((total, { value }) => total + Math.exp(value), 0);
  const share = `e^(${shown(own.value)}) / ${shown(sum)}`;
  const line = `${node.kind === "softmax" ? share : `ln(${share})`} = ${shown(valueAt(place))}`;
  const rows = [followTerm(own), ...highestRows(others.sort((a, b) => b.value - a.value))];
  return sum > 0 && sum < Infinity ? [element("p", { className: "formula" }, line), ...rows] : rows;
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
