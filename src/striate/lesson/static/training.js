// A small net that learns in the page: convolution, ReLU, max pooling, linear layer; cross-entropy; stochastic gradient
// descent with momentum. A run is a state and `trainStep`, which makes the next state of it and changes nothing.

const NET = {
  kernels: 6,
  conv: { stride: [1, 1], sides: [[1, 1], [1, 1]], dilation: [1, 1], groups: 1 },
  pool: { kernel_size: [4, 4], stride: [4, 4], padding: [0, 0], dilation: [1, 1], ceil_mode: false },
};
const TRAIN_COUNT = 384;
const TEST_COUNT = 96;
const GUESSING = Math.log(STROKES.classes.length); // the loss of one who answers every class alike
const DIVERGED_AT = 10 * GUESSING;

// The pictures that a seed gives: those to learn from, and new ones to be asked about.
function trainingData(seed) {
  return { train: strokeSet(2 * seed + 1, TRAIN_COUNT), test: strokeSet(2 * seed + 2, TEST_COUNT) };
}

// Before the first step: weights as torch draws them, evenly within ± 1 / √inputs (He et al. 2015 with a = √5).
function startTraining(seed) {
  const random = randomFrom(0x9e3779b9 ^ seed);
  const features = NET.kernels * (STROKES.side / NET.pool.stride[0]) ** 2;
  const draw = (shape, inputs) => {
    const out = tensor(shape);
    for (let i = 0; i < out.data.length; i++) out.data[i] = (2 * random.uniform() - 1) / Math.sqrt(inputs);
    return out;
  };
  const weights = {
    kernel: draw([NET.kernels, 1, 3, 3], 9),
    kernelBias: draw([NET.kernels], 9),
    linear: draw([STROKES.classes.length, features], features),
    linearBias: draw([STROKES.classes.length], features),
  };
  const velocity = mapWeights(weights, ({ shape }) => tensor(shape));
  return { step: 0, weights, velocity, random: random.state, loss: null, diverged: false };
}

function mapWeights(weights, change) {
  return Object.fromEntries(Object.entries(weights).map(([name, value]) => [name, change(value, name)]));
}

// Every layer's numbers for one picture.
function forwardPass(weights, picture) {
  const summed = conv2d(picture, weights.kernel, weights.kernelBias, NET.conv);
  const maps = activation("relu", summed);
  const pooled = maxPool2d(maps, NET.pool);
  return { summed, maps, pooled, logits: linear(flatten(pooled), weights.linear, weights.linearBias) };
}

// The loss of one picture, and its slope by every weight: the layers backwards.
function lossGradients(weights, picture, target) {
  const { summed, maps, pooled, logits } = forwardPass(weights, picture);
  const { loss, grad } = crossEntropy(logits, target);
  const last = linearGradients(grad, flatten(pooled), weights.linear);
  const byMaps = maxPool2dGradient(tensor(pooled.shape, last.x.data), maps, NET.pool);
  const first = conv2dGradients(reluGradient(byMaps, summed), picture, weights.kernel, NET.conv);
  return { loss, gradients: { kernel: first.weight, kernelBias: first.bias, linear: last.weight, linearBias: last.bias } };
}

// The mean over a batch.
function batchGradients(weights, { pictures, targets }, batch) {
  const mean = mapWeights(weights, ({ shape }) => tensor(shape));
  let total = 0;
  for (const i of batch) {
    const { loss, gradients } = lossGradients(weights, pictures[i], targets[i]);
    total += loss;
    for (const name of Object.keys(mean)) addScaled(mean[name].data, gradients[name].data, 1 / batch.length);
  }
  return { loss: total / batch.length, gradients: mean };
}

function addScaled(sums, values, factor) {
  for (let i = 0; i < sums.length; i++) sums[i] += factor * values[i];
}

// Which pictures the next step looks at, each drawn from all, and the generator's state afterwards.
function drawBatch(state, batch, count) {
  const random = randomFrom(state.random);
  return { drawn: Array.from({ length: batch }, () => random.below(count)), random: random.state };
}

// One step on a batch drawn at random: velocity ← momentum · velocity + gradient, weights ← weights − rate · velocity.
// A loss that is no number, or ten times that of guessing, ends the run: it has diverged, and its weights stay as they were.
function trainStep(state, { rate, momentum, batch }, set) {
  if (state.diverged) return state;
  const { drawn, random } = drawBatch(state, batch, set.pictures.length);
  const { loss, gradients } = batchGradients(state.weights, set, drawn);
  const next = { ...state, step: state.step + 1, random, loss };
  if (!(loss < DIVERGED_AT)) return { ...next, diverged: true };
  const velocity = mapWeights(state.velocity, ({ shape, data }, name) =>
    tensor(shape, data.map((value, i) => momentum * value + gradients[name].data[i])),
  );
  const weights = mapWeights(state.weights, ({ shape, data }, name) =>
    tensor(shape, data.map((value, i) => value - rate * velocity[name].data[i])),
  );
  return { ...next, velocity, weights };
}

// The class of the largest logit.
function answerOf(weights, picture) {
  const { data } = forwardPass(weights, picture).logits;
  return data.indexOf(data.reduce((a, b) => Math.max(a, b), -Infinity));
}

// Which share of pictures is answered rightly.
function shareRight(weights, { pictures, targets }) {
  const right = pictures.filter((picture, i) => answerOf(weights, picture) === targets[i]);
  return right.length / pictures.length;
}
