// The forward operations of a network, each as a pure function over tensors.
//
// A tensor is {shape, data}: shape (C, H, W) of maps or (features,), data a Float32Array in that order.
// Names, arguments and weight layouts are torch's. No function changes what it is given.
"use strict";

function tensor(shape, data) {
  return { shape, data: data || new Float32Array(shape.reduce((product, side) => product * side, 1)) };
}

// How many windows fit along one axis; with `ceil`, a last one may hang over the end unless it would begin there.
function windowCount(length, [before, after], kernel, stride, dilation, ceil = false) {
  const room = length + before + after - (dilation * (kernel - 1) + 1);
  if (room < 0) return 0;
  const count = Math.floor(room / stride) + 1;
  return ceil && room % stride > 0 && count * stride < length + before ? count + 1 : count;
}

// Cross-correlation with learned kernels; weight (O, C / groups, kH, kW).
function conv2d(x, weight, bias, { stride, sides, dilation, groups }) {
  const [, height, width] = x.shape;
  const [outChannels, inChannels, kernelHeight, kernelWidth] = weight.shape;
  const rows = windowCount(height, sides[0], kernelHeight, stride[0], dilation[0]);
  const columns = windowCount(width, sides[1], kernelWidth, stride[1], dilation[1]);
  const padded = padMaps(x, sides);
  const [, , paddedWidth] = padded.shape;
  const mapSize = padded.shape[1] * paddedWidth;
  const common = kernelHeight === 3 && kernelWidth === 3 && stride[1] === 1 && dilation[1] === 1;
  const out = tensor([outChannels, rows, columns]);
  for (let o = 0; o < outChannels; o++) {
    const plane = out.data.subarray(o * rows * columns, (o + 1) * rows * columns);
    if (bias) plane.fill(bias.data[o]);
    const first = Math.floor(o / (outChannels / groups)) * inChannels;
    for (let c = 0; c < inChannels; c++) {
      const map = padded.data.subarray((first + c) * mapSize, (first + c + 1) * mapSize);
      const size = kernelHeight * kernelWidth;
      const start = (o * inChannels + c) * size;
      const kernel = weight.data.subarray(start, start + size);
      if (common) addThreeByThree(plane, rows, columns, map, paddedWidth, kernel, stride[0], dilation[0]);
      else addKernel(plane, rows, columns, map, paddedWidth, kernel, kernelWidth, stride, dilation);
    }
  }
  return out;
}

// Maps with zeros around them, ((top, bottom), (left, right)).
function padMaps(x, [[top, bottom], [left, right]]) {
  if (!top && !bottom && !left && !right) return x;
  const [channels, height, width] = x.shape;
  const padded = tensor([channels, height + top + bottom, width + left + right]);
  for (let c = 0; c < channels; c++) {
    for (let row = 0; row < height; row++) {
      const start = (c * height + row) * width;
      const target = (c * padded.shape[1] + row + top) * padded.shape[2] + left;
      padded.data.set(x.data.subarray(start, start + width), target);
    }
  }
  return padded;
}

// Adds to a plane what one kernel finds on one map, one element of the kernel after the other.
function addKernel(plane, rows, columns, map, width, kernel, kernelWidth, stride, dilation) {
  kernel.forEach((value, place) => {
    const down = Math.floor(place / kernelWidth) * dilation[0];
    const across = (place % kernelWidth) * dilation[1];
    for (let row = 0; row < rows; row++) {
      let source = (row * stride[0] + down) * width + across;
      for (let target = row * columns; target < (row + 1) * columns; target++) {
        plane[target] += value * map[source];
        source += stride[1];
      }
    }
  });
}

// The same for the most common kernel, at least twice as fast: all nine products of a place at once.
function addThreeByThree(plane, rows, columns, map, width, kernel, stride, dilation) {
  const [k0, k1, k2, k3, k4, k5, k6, k7, k8] = kernel;
  for (let row = 0; row < rows; row++) {
    let a = row * stride * width;
    let b = a + dilation * width;
    let c = b + dilation * width;
    for (let target = row * columns; target < (row + 1) * columns; target++) {
      plane[target] +=
        k0 * map[a] + k1 * map[a + 1] + k2 * map[a + 2] +
        k3 * map[b] + k4 * map[b + 1] + k5 * map[b + 2] +
        k6 * map[c] + k7 * map[c + 1] + k8 * map[c + 2];
      a++;
      b++;
      c++;
    }
  }
}

// The largest value of each window; padding is never the largest.
function maxPool2d(x, { kernel_size: kernel, stride, padding, dilation, ceil_mode: ceil }) {
  const { shape, spans } = poolWindows(x.shape, kernel, stride, padding, dilation, ceil);
  return reduceWindows(x, shape, spans, (values) => values.reduce((a, b) => Math.max(a, b), -Infinity));
}

// The mean of each window; padding counts as zeros unless count_include_pad is false.
function avgPool2d(x, { kernel_size: kernel, stride, padding, ceil_mode: ceil, count_include_pad: all }) {
  const { shape, spans } = poolWindows(x.shape, kernel, stride, padding, [1, 1], ceil);
  return reduceWindows(x, shape, spans, (values, row, column) => {
    const size = all ? row.padded * column.padded : values.length;
    return values.reduce((a, b) => a + b, 0) / size;
  });
}

// Window i of n reaches from floor(i L / n) to ceil((i + 1) L / n).
function adaptiveSpans(length, count) {
  return Array.from({ length: count }, (_, i) => {
    const first = Math.floor((i * length) / count);
    const end = Math.ceil(((i + 1) * length) / count);
    return { places: Array.from({ length: end - first }, (_, k) => first + k), padded: end - first };
  });
}

function adaptiveAvgPool2d(x, { output_size: size }) {
  const spans = [adaptiveSpans(x.shape[1], size[0]), adaptiveSpans(x.shape[2], size[1])];
  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  return reduceWindows(x, [x.shape[0], ...size], spans, mean);
}

function adaptiveMaxPool2d(x, { output_size: size }) {
  const spans = [adaptiveSpans(x.shape[1], size[0]), adaptiveSpans(x.shape[2], size[1])];
  const largest = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
  return reduceWindows(x, [x.shape[0], ...size], spans, largest);
}

// Where windows lie: along each axis, a list of the places on the map and the length with padding.
function poolWindows([channels, height, width], kernel, stride, padding, dilation, ceil) {
  const spans = [height, width].map((length, axis) => {
    const sides = [padding[axis], padding[axis]];
    const count = windowCount(length, sides, kernel[axis], stride[axis], dilation[axis], ceil);
    return Array.from({ length: count }, (_, window) => {
      const first = window * stride[axis] - padding[axis];
      const places = Array.from({ length: kernel[axis] }, (_, k) => first + k * dilation[axis]);
      return {
        places: places.filter((place) => place >= 0 && place < length),
        padded: Math.min(first + kernel[axis], length + padding[axis]) - first,
      };
    });
  });
  return { shape: [channels, spans[0].length, spans[1].length], spans };
}

function reduceWindows(x, shape, [down, across], reduce) {
  const [, height, width] = x.shape;
  const out = tensor(shape);
  let place = 0;
  for (let c = 0; c < shape[0]; c++) {
    for (const row of down) {
      for (const column of across) {
        const values = [];
        for (const y of row.places) {
          for (const x0 of column.places) values.push(x.data[(c * height + y) * width + x0]);
        }
        out.data[place++] = reduce(values, row, column);
      }
    }
  }
  return out;
}

// As in evaluation: with the running statistics, for each channel (or feature).
function batchNorm(x, { running_mean: mean, running_var: variance, weight, bias }, { eps }) {
  const out = tensor(x.shape);
  const each = x.data.length / x.shape[0];
  for (let c = 0; c < x.shape[0]; c++) {
    const scale = (weight ? weight.data[c] : 1) / Math.sqrt(variance.data[c] + eps);
    const shift = (bias ? bias.data[c] : 0) - mean.data[c] * scale;
    for (let i = c * each; i < (c + 1) * each; i++) out.data[i] = x.data[i] * scale + shift;
  }
  return out;
}

// x W^T + b; weight (out, in).
function linear(x, weight, bias) {
  const [outFeatures, inFeatures] = weight.shape;
  const out = tensor([outFeatures]);
  for (let o = 0; o < outFeatures; o++) {
    let sum = bias ? bias.data[o] : 0;
    for (let i = 0; i < inFeatures; i++) sum += weight.data[o * inFeatures + i] * x.data[i];
    out.data[o] = sum;
  }
  return out;
}

function flatten(x) {
  return tensor([x.data.length], x.data);
}

function sigmoidOf(x) {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}

// Abramowitz and Stegun, 7.1.26; wrong by 1.5e-7 at most.
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const terms = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592];
  const y = 1 - terms.reduce((sum, term) => (sum + term) * t, 0) * Math.exp(-x * x);
  return x < 0 ? -y : y;
}

// Of one number each; some take an argument of the layer.
const ACTIVATIONS = {
  relu: (x) => Math.max(x, 0),
  relu6: (x) => Math.min(Math.max(x, 0), 6),
  leaky_relu: (x, { negative_slope: slope }) => (x > 0 ? x : slope * x),
  gelu: (x, { approximate }) =>
    approximate === "tanh"
      ? 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
      : 0.5 * x * (1 + erf(x / Math.SQRT2)),
  sigmoid: sigmoidOf,
  tanh: Math.tanh,
};

function activation(kind, x, args) {
  const of = ACTIVATIONS[kind];
  const out = tensor(x.shape);
  for (let i = 0; i < out.data.length; i++) out.data[i] = of(x.data[i], args);
  return out;
}

// Over channels or features, the same at every place.
function softmax(x) {
  const logs = logSoftmax(x);
  return tensor(x.shape, logs.data.map(Math.exp));
}

function logSoftmax(x) {
  const out = tensor(x.shape);
  const each = x.data.length / x.shape[0];
  for (let place = 0; place < each; place++) {
    let largest = -Infinity;
    for (let i = place; i < x.data.length; i += each) largest = Math.max(largest, x.data[i]);
    let sum = 0;
    for (let i = place; i < x.data.length; i += each) sum += Math.exp(x.data[i] - largest);
    const shift = largest + Math.log(sum);
    for (let i = place; i < x.data.length; i += each) out.data[i] = x.data[i] - shift;
  }
  return out;
}

// The end of a residual block: what its layers give, plus what goes around them.
function add(a, b) {
  return tensor(a.shape, a.data.map((value, i) => value + b.data[i]));
}

// The end of a parallel block: the maps of all branches, one behind the other.
function concatenate(parts) {
  const channels = parts.reduce((sum, part) => sum + part.shape[0], 0);
  const out = tensor([channels, ...parts[0].shape.slice(1)]);
  let start = 0;
  for (const part of parts) {
    out.data.set(part.data, start);
    start += part.data.length;
  }
  return out;
}

// Every kind of node by its name: what it computes from its inputs, its arguments and its weights.
const OPERATIONS = {
  conv2d: ([x], args, { weight, bias }) => conv2d(x, weight, bias, args),
  linear: ([x], args, { weight, bias }) => linear(x, weight, bias),
  batch_norm: ([x], args, weights) => batchNorm(x, weights, args),
  max_pool2d: ([x], args) => maxPool2d(x, args),
  avg_pool2d: ([x], args) => avgPool2d(x, args),
  adaptive_avg_pool2d: ([x], args) => adaptiveAvgPool2d(x, args),
  adaptive_max_pool2d: ([x], args) => adaptiveMaxPool2d(x, args),
  flatten: ([x]) => flatten(x),
  dropout: ([x]) => x,
  softmax: ([x]) => softmax(x),
  log_softmax: ([x]) => logSoftmax(x),
  add: ([a, b]) => add(a, b),
  concatenate: (parts) => concatenate(parts),
};
for (const kind of Object.keys(ACTIVATIONS)) OPERATIONS[kind] = ([x], args) => activation(kind, x, args);

// The values of every node of a network, given its input; each node names its inputs by their places.
function computeNetwork(nodes, input) {
  const values = [input];
  for (const node of nodes.slice(1)) {
    const inputs = node.inputs.map((place) => values[place]);
    values.push(OPERATIONS[node.kind](inputs, node.args, node.weights));
  }
  return values;
}

if (typeof module !== "undefined") module.exports = { tensor, windowCount, OPERATIONS, computeNetwork };
