// Reads cases as JSON, computes each with ops.js, and writes what comes out: node run_ops.js OPS CASES
"use strict";
const fs = require("fs");
const { OPERATIONS } = require(require("path").resolve(process.argv[2]));

function tensorOf({ shape, data }) {
  return { shape, data: Float32Array.from(data) };
}

const results = JSON.parse(fs.readFileSync(process.argv[3], "utf8")).map(({ kind, inputs, args, weights }) => {
  const tensors = Object.fromEntries(Object.entries(weights).map(([name, value]) => [name, tensorOf(value)]));
  const out = OPERATIONS[kind](inputs.map(tensorOf), args, tensors);
  return { shape: out.shape, data: Array.from(out.data) };
});
process.stdout.write(JSON.stringify(results));
