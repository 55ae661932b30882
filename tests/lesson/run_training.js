// Reads calls as JSON, answers each with the page's own functions, and writes what comes out: node run_training.js STATIC CALLS
// A call is {name, arguments}; a tensor is written {shape, data}, here and in what comes back.
"use strict";
const fs = require("fs");
const path = require("path");
const vm = require("vm");
const [folder, calls] = process.argv.slice(2);
const scripts = ["ops.js", "gradients.js", "strokes.js", "training.js"]; // one after the other, as in the page
vm.runInThisContext(scripts.map((name) => fs.readFileSync(path.join(folder, name), "utf8")).join("\n"));

// A run of some steps: where it began, what it looked at, the losses, and where it ended.
function trainFor(seed, settings, steps) {
  const { train, test } = trainingData(seed);
  const start = startTraining(seed);
  let state = start;
  const [losses, batches] = [[], []];
  for (let i = 0; i < steps && !state.diverged; i++) {
    batches.push(drawBatch(state, settings.batch, train.pictures.length).drawn);
    state = trainStep(state, settings, train);
    losses.push(state.loss);
  }
  return { start, state, losses, batches, right: shareRight(state.weights, test) };
}

function revive(key, value) {
  return value && value.shape && value.data ? { shape: value.shape, data: Float32Array.from(value.data) } : value;
}

function plain(key, value) {
  return value instanceof Float32Array ? Array.from(value) : value;
}

const answers = JSON.parse(fs.readFileSync(calls, "utf8"), revive).map(({ name, arguments: given }) =>
  (name === "trainFor" ? trainFor : vm.runInThisContext(name))(...given),
);
process.stdout.write(JSON.stringify(answers, plain));
