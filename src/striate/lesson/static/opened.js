// A network as it stands in a page, opened: its nodes with their weights, its input, its answer.

// The nodes of the page's data with their weights as tensors.
function openNodes({ nodes, values }) {
  const row = new Float32Array(decodeBytes(values).buffer);
  return nodes.map((node) => {
    const weights = {};
    for (const [name, { offset, shape }] of Object.entries(node.tensors)) {
      const count = shape.reduce((product, side) => product * side, 1);
      weights[name] = { shape, data: row.subarray(offset, offset + count) };
    }
    return { ...node, weights };
  });
}

// A picture's bytes (C, H, W) as values in 0..1.
function openPixels({ pixels }) {
  return Float32Array.from(decodeBytes(pixels), (byte) => byte / 255);
}

// Values in 0..1 as the network takes them: (value − mean) / std of each channel.
function normalise(values, [, height, width], { mean, std }) {
  const plane = height * width;
  return values.map((value, i) => (value - mean[Math.floor(i / plane)]) / std[Math.floor(i / plane)]);
}

// Probabilities of all classes, from the numbers that the last node puts out.
function classShares(data, { output, temperature }) {
  if (output === "probability" || output === "logit") {
    const logit = output === "logit" ? data[0] : Math.log(data[0] / (1 - data[0]));
    const second = sigmoidOf(logit / temperature);
    return [1 - second, second];
  }
  return Array.from(softmax(tensor([data.length], data.map((value) => value / temperature))).data);
}
