// Reads cases as JSON, computes each with ops.js, and writes what comes out: node run_ops.js OPS CASES
// A case is one operation, or the nodes of a network, of which every value is written.
"use strict";
const fs = require("fs");
const { OPERATIONS, computeNetwork } = require(require("path").resolve(process.argv[2]));

function tensorOf({ shape, data }) {
  return { shape, data: Float32Array.from(data) };
}

function tensorsOf(weights) {
  return Object.fromEntries(Object.entries(weights).map(([name, value]) => [name, tensorOf(value)]));
}

function compute({ kind, inputs, args, weights, nodes, input }) {
  if (!nodes) return [OPERATIONS[kind](inputs.map(tensorOf), args, tensorsOf(weights))];
  return computeNetwork(nodes.map((node) => ({ ...node, weights: tensorsOf(node.weights) })), tensorOf(input));
}

const results = JSON.parse(fs.readFileSync(process.argv[3], "utf8")).flatMap(compute);
process.stdout.write(JSON.stringify(results.map(({ shape, data }) => ({ shape, data: Array.from(data) }))));
