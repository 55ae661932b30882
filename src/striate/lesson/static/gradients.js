// The way back through a network: what each operation of ops.js passes on of a gradient, as pure functions over tensors.
//
// `grad` is the slope of the loss by what the operation put out, in that shape; what comes back are the slopes by what
// went in and by its weights. The formulas are those of the engine; by the chain rule, one after the other, they are
// back-propagation (Rumelhart, Hinton & Williams 1986).

// By the input, the weights and the bias of a convolution: every product of the forward pass, turned around.
function conv2dGradients(grad, x, weight, { stride, sides, dilation, groups }) {
  const [outChannels, inChannels, kernelHeight, kernelWidth] = weight.shape;
  const size = kernelHeight * kernelWidth;
  const padded = padMaps(x, sides);
  const gradPadded = tensor(padded.shape);
  const gradWeight = tensor(weight.shape);
  const gradBias = tensor([outChannels]);
  const planeSize = grad.shape[1] * grad.shape[2];
  const mapSize = padded.shape[1] * padded.shape[2];
  for (let o = 0; o < outChannels; o++) {
    const plane = grad.data.subarray(o * planeSize, (o + 1) * planeSize);
    gradBias.data[o] = plane.reduce((sum, value) => sum + value, 0);
    const first = Math.floor(o / (outChannels / groups)) * inChannels;
    for (let c = 0; c < inChannels; c++) {
      const map = padded.data.subarray((first + c) * mapSize, (first + c + 1) * mapSize);
      const gradMap = gradPadded.data.subarray((first + c) * mapSize, (first + c + 1) * mapSize);
      for (let place = 0; place < size; place++) {
        const at = (o * inChannels + c) * size + place;
        const start = Math.floor(place / kernelWidth) * dilation[0] * padded.shape[2] + (place % kernelWidth) * dilation[1];
        gradWeight.data[at] = sendBack(plane, grad.shape, map, gradMap, padded.shape[2], start, stride, weight.data[at]);
      }
    }
  }
  return { x: cropMaps(gradPadded, sides, x.shape), weight: gradWeight, bias: gradBias };
}

// One element of a kernel: adds to the map's gradient what it passed on, and returns the gradient of the element.
function sendBack(plane, [, rows, columns], map, gradMap, width, start, stride, value) {
  let sum = 0;
  for (let row = 0; row < rows; row++) {
    let source = start + row * stride[0] * width;
    for (let target = row * columns; target < (row + 1) * columns; target++) {
      sum += plane[target] * map[source];
      gradMap[source] += plane[target] * value;
      source += stride[1];
    }
  }
  return sum;
}

// The opposite of padMaps: what lies beyond the border is left out.
function cropMaps(padded, [[top], [left]], shape) {
  const out = tensor(shape);
  const [channels, height, width] = shape;
  for (let c = 0; c < channels; c++) {
    for (let row = 0; row < height; row++) {
      const start = (c * padded.shape[1] + row + top) * padded.shape[2] + left;
      out.data.set(padded.data.subarray(start, start + width), (c * height + row) * width);
    }
  }
  return out;
}

// The largest number of a window made its output, so it alone gets the gradient; of equals the first, as in torch.
function maxPool2dGradient(grad, x, { kernel_size: kernel, stride, padding, dilation, ceil_mode: ceil }) {
  const { spans: [down, across] } = poolWindows(x.shape, kernel, stride, padding, dilation, ceil);
  const [channels, height, width] = x.shape;
  const out = tensor(x.shape);
  let place = 0;
  for (let c = 0; c < channels; c++) {
    for (const row of down) {
      for (const column of across) out.data[largestOf(x.data, c * height, width, row, column)] += grad.data[place++];
    }
  }
  return out;
}

function largestOf(data, firstRow, width, row, column) {
  let best = -1;
  for (const y of row.places) {
    for (const x of column.places) {
      const at = (firstRow + y) * width + x;
      if (best < 0 || data[at] > data[best]) best = at;
    }
  }
  return best;
}

// The slope of ReLU is 1 above zero and 0 elsewhere.
function reluGradient(grad, x) {
  return tensor(x.shape, grad.data.map((value, i) => (x.data[i] > 0 ? value : 0)));
}

// With y = W x + b: by x it is Wᵀ grad, by W the outer product of grad and x, by b grad itself.
function linearGradients(grad, x, weight) {
  const [outputs, inputs] = weight.shape;
  const gradX = tensor(x.shape);
  const gradWeight = tensor(weight.shape);
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < inputs; i++) {
      gradX.data[i] += grad.data[o] * weight.data[o * inputs + i];
      gradWeight.data[o * inputs + i] = grad.data[o] * x.data[i];
    }
  }
  return { x: gradX, weight: gradWeight, bias: tensor([outputs], grad.data.slice()) };
}

// How surprising the right class is: −log of its share; and the gradient by the logits, share − 1 there, the share elsewhere.
function crossEntropy(logits, target) {
  const logs = logSoftmax(logits);
  const grad = tensor(logits.shape, logs.data.map((log, i) => Math.exp(log) - (i === target ? 1 : 0)));
  return { loss: -logs.data[target], grad };
}
