// Where a value of a network comes from: the values it was made of, and the pixels it depends on.
//
// A place is {node, channel, row, column}; a node that puts out features has row and column 0.

function isMaps(node) {
  return node.shape.length === 3;
}

function placeIndex(node, { channel, row, column }) {
  return isMaps(node) ? (channel * node.shape[1] + row) * node.shape[2] + column : channel;
}

function placeAt(nodes, place, index) {
  const node = nodes[place];
  if (!isMaps(node)) return { node: place, channel: index, row: 0, column: 0 };
  const [, height, width] = node.shape;
  return {
    node: place,
    channel: Math.floor(index / (height * width)),
    row: Math.floor(index / width) % height,
    column: index % width,
  };
}

// The rows (or columns) that window `index` of a node reads along an axis, before those outside are left out.
function windowPlaces(node, axis, index, length) {
  const { args, kind } = node;
  if (kind.startsWith("adaptive")) return adaptiveSpans(length, args.output_size[axis])[index].places;
  const size = kind === "conv2d" ? node.weights.weight.shape[2 + axis] : args.kernel_size[axis];
  const before = kind === "conv2d" ? args.sides[axis][0] : args.padding[axis];
  const apart = args.dilation ? args.dilation[axis] : 1;
  return Array.from({ length: size }, (_, k) => index * args.stride[axis] - before + k * apart);
}

// Everything that one value of a convolution or pooling reads of one map: rows of {place, value}, 0 outside.
function readWindow(nodes, values, place, channel) {
  const node = nodes[place.node];
  const from = node.inputs[0];
  const [, height, width] = nodes[from].shape;
  const columns = windowPlaces(node, 1, place.column, width);
  return windowPlaces(node, 0, place.row, height).map((row) =>
    columns.map((column) => {
      const inside = row >= 0 && column >= 0 && row < height && column < width;
      const at = { node: from, channel, row, column };
      return { place: inside ? at : null, value: inside ? values[from].data[placeIndex(nodes[from], at)] : 0 };
    }),
  );
}

// The window of a pooling; `counted` tells whether a place takes part: outside the map only the padding of a mean
// may, as a zero.
function pooledWindow(nodes, values, place) {
  const { inputs: [from], args: { count_include_pad: all, padding } } = nodes[place.node];
  const ends = [0, 1].map((axis) => nodes[from].shape[1 + axis] + (all ? padding[axis] : 0));
  const down = windowPlaces(nodes[place.node], 0, place.row, nodes[from].shape[1]);
  const across = windowPlaces(nodes[place.node], 1, place.column, nodes[from].shape[2]);
  const counted = (row, column) => Boolean(all) && row < ends[0] && column < ends[1];
  return readWindow(nodes, values, place, place.channel).map((cells, i) =>
    cells.map((cell, j) => ({ ...cell, counted: Boolean(cell.place) || counted(down[i], across[j]) })));
}

// What a value of a convolution takes from each map: its window, its kernel and the sum of the products.
function convolutionTerms(nodes, values, place) {
  const node = nodes[place.node];
  const { weight } = node.weights;
  const [outChannels, perGroup, height, width] = weight.shape;
  const first = Math.floor(place.channel / (outChannels / node.args.groups)) * perGroup;
  return Array.from({ length: perGroup }, (_, c) => {
    const start = (place.channel * perGroup + c) * height * width;
    const kernel = weight.data.subarray(start, start + height * width);
    const window = readWindow(nodes, values, place, first + c);
    const flat = window.flat();
    const sum = flat.reduce((total, { value }, i) => total + value * kernel[i], 0);
    return { channel: first + c, kernel, window, sum };
  });
}

// What a value of a linear layer takes from each value before it.
function linearTerms(nodes, values, place) {
  const node = nodes[place.node];
  const from = node.inputs[0];
  const { weight } = node.weights;
  const count = weight.shape[1];
  return Array.from({ length: count }, (_, i) => {
    const value = values[from].data[i];
    const factor = weight.data[place.channel * count + i];
    return { place: placeAt(nodes, from, i), value, factor, product: value * factor };
  });
}

// The values that a value is made of where each is taken as it is: one for an activation, two for a sum, itself
// and then all others for a softmax.
function plainTerms(nodes, values, place) {
  const node = nodes[place.node];
  let { channel } = place;
  const found = [];
  for (const from of node.inputs) {
    const source = nodes[from];
    if (node.kind === "concatenate") {
      if (channel < 0 || channel >= source.shape[0]) {
        channel -= source.shape[0];
        continue;
      }
      found.push({ ...place, node: from, channel });
      break;
    }
    if (node.kind.includes("softmax")) {
      const others = Array.from({ length: source.shape[0] }, (_, other) => other).filter((other) => other !== channel);
      found.push(...[channel, ...others].map((each) => ({ ...place, node: from, channel: each })));
    } else if (node.kind === "flatten") found.push(placeAt(nodes, from, place.channel));
    else found.push({ ...place, node: from });
  }
  return found.map((at) => ({ place: at, value: values[at.node].data[placeIndex(nodes[at.node], at)] }));
}

// The rectangle of the picture that a value depends on: {top, bottom, left, right}, both ends included.
function fieldOf(nodes, place) {
  const spans = new Array(nodes.length).fill(null);
  spans[place.node] = { rows: [place.row, place.row], columns: [place.column, place.column] };
  for (let at = place.node; at > 0; at--) {
    if (!spans[at]) continue;
    const exact = at === place.node && nodes[at].kind === "flatten" ? plainTermPlace(nodes, place) : null;
    for (const from of nodes[at].inputs) {
      const reached = exact || reachOf(nodes[at], nodes[from], spans[at]);
      spans[from] = spans[from] ? unite(spans[from], reached) : reached;
    }
  }
  const { rows, columns } = spans[0];
  const [, height, width] = nodes[0].shape;
  return {
    top: clamp(rows[0], 0, height - 1), bottom: clamp(rows[1], 0, height - 1),
    left: clamp(columns[0], 0, width - 1), right: clamp(columns[1], 0, width - 1),
  };
}

function plainTermPlace(nodes, place) {
  const { row, column } = placeAt(nodes, nodes[place.node].inputs[0], place.channel);
  return { rows: [row, row], columns: [column, column] };
}

function unite(a, b) {
  const both = ([low, high], [other, end]) => [Math.min(low, other), Math.max(high, end)];
  return { rows: both(a.rows, b.rows), columns: both(a.columns, b.columns) };
}

// The rows and columns of an input that a span of a node's output reads.
function reachOf(node, source, span) {
  if (!isMaps(source)) return { rows: [0, 0], columns: [0, 0] };
  const [, height, width] = source.shape;
  if (!isMaps(node)) return { rows: [0, height - 1], columns: [0, width - 1] };
  if (node.kind !== "conv2d" && !node.kind.includes("pool")) return span;
  const along = (axis, [first, last], length) => {
    const low = windowPlaces(node, axis, first, length)[0];
    const high = windowPlaces(node, axis, last, length).at(-1);
    return [clamp(low, 0, length - 1), clamp(high, 0, length - 1)];
  };
  return { rows: along(0, span.rows, height), columns: along(1, span.columns, width) };
}

if (typeof module !== "undefined") Object.assign(module.exports, { convolutionTerms, linearTerms, plainTerms, fieldOf });
