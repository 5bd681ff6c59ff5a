// What the page knows, and what filters leave of it. The files of this folder are one script, in the order that
// html.py gives; all text is set as text, never as markup. Tables with the same numbers are in the page for readers
// without scripts.

const results = JSON.parse(document.getElementById("data").textContent).results;
const root = document.documentElement;
const byId = (id) => document.getElementById(id);

const METRICS = {
  critical: { name: "critical rate", column: "critical" },
  tolerable: { name: "tolerable rate", column: "tolerable" },
  masked: { name: "masked rate", column: "masked" },
  drop: { name: "accuracy drop", column: "correct" },
  no_result: { name: "hang or crash rate", column: "no_result" },
};
const DIMENSIONS = {
  bit: "bit",
  kind: "fault kind",
  site: "fault site",
  layer: "layer",
  cycle: "part of the tile's cycles",
  row: "PE row",
  col: "PE column",
};
// Letters and order of the dimensions in the keys of precomputed groups.
const LETTERS = { site: "s", kind: "k", bit: "b", layer: "l", row: "r", col: "c", cycle: "y" };
const FILTERS = ["site", "kind", "bit", "layer"];
const PARTS = 8;
const LISTED = 200;

const state = { result: 0, metric: "critical", filters: {}, pe: null };
let current = null;

// --- elements ------------------------------------------------------------------------------------------------

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}
const make = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
const draw = (name, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

// --- data ----------------------------------------------------------------------------------------------------

const spread = (column, length) => (Array.isArray(column) ? column : new Array(length).fill(column));

function unpack(result) {
  if (result.unpacked) return result.unpacked;
  const columns = {};
  for (const [name, column] of Object.entries(result.columns)) columns[name] = spread(column, result.faults);
  const armed = { pe: result.armed.pe };
  const length = armed.pe.length;
  armed.fault = result.armed.fault || Array.from({ length }, (_, place) => place);
  armed.bit = spread(result.armed.bit, length);
  armed.site = spread(result.armed.site, length);
  result.unpacked = { columns, armed, weights: spread(result.weights, result.faults) };
  return result.unpacked;
}

// The value of a dimension for an armed bit.
function valueOf(dimension, place) {
  const { columns, armed } = unpack(current);
  const fault = armed.fault[place];
  if (dimension === "bit" || dimension === "site") return armed[dimension][place];
  if (dimension === "row") return Math.floor(armed.pe[place] / current.cols);
  if (dimension === "col") return armed.pe[place] % current.cols;
  if (dimension === "kind") return columns.kind[fault];
  if (!columns.layer || columns.layer[fault] < 0) return null;
  const layer = columns.layer[fault];
  if (dimension === "layer") return layer;
  return current.tileCycles && Math.floor((columns.first_cycle[fault] * PARTS) / current.tileCycles[layer]);
}

function passes(place) {
  return FILTERS.every((name) => !(name in state.filters) || valueOf(name, place) === state.filters[name]);
}

// The value of a dimension for an armed bit of a fault that a stratified sample has counted instead of drawing it.
function leftOutValue(dimension, place) {
  const { leftOut } = current;
  if (dimension === "row") return Math.floor(leftOut.pe[place] / current.cols);
  if (dimension === "col") return leftOut.pe[place] % current.cols;
  const column = leftOut[dimension];
  if (column === undefined) return null;
  return Array.isArray(column) ? column[place] : column;
}

// Sums of the chosen metric by group; a fault that arms several bits of a group counts there once.
// `population` is how many faults the space has in every group, where that is known: if all were counted, nothing is unknown.
function sums(groupOf, groups, leftOutGroupOf, population = null) {
  const { columns, armed } = unpack(current);
  const column = columns[METRICS[state.metric].column];
  const { weights } = unpack(current);
  const count = new Array(groups).fill(0);
  const whole = new Array(groups).fill(0);
  const total = new Array(groups).fill(0);
  const last = new Array(groups).fill(-1);
  for (let place = 0; place < armed.fault.length; place += 1) {
    const fault = armed.fault[place];
    const group = groupOf(place);
    if (group === null || group === undefined || last[group] === fault || !passes(place)) continue;
    last[group] = fault;
    count[group] += 1;
    whole[group] += weights[fault];
    total[group] += weights[fault] * column[fault];
  }
  const { fault: leftOut } = current.leftOut;
  const share = current.leftOut.shares[METRICS[state.metric].column] * current.images;
  const counted = new Array(groups).fill(0);
  last.fill(-1);
  for (let place = 0; place < leftOut.length; place += 1) {
    const group = leftOutGroupOf(place);
    const chosen = FILTERS.every((name) => !(name in state.filters) || leftOutValue(name, place) === state.filters[name]);
    if (group === null || group === undefined || last[group] === leftOut[place] || !chosen) continue;
    last[group] = leftOut[place];
    counted[group] += 1;
    whole[group] += 1;
    total[group] += share;
  }
  return count.map((faults, group) => {
    const known = faults > 0 || (population !== null && counted[group] === population);
    return { faults, rate: known ? shown(total[group] / whole[group] / current.images) : null };
  });
}

const shown = (share) => (state.metric === "drop" ? current.golden - share : share);

function cellOf(fixed) {
  const key = Object.keys(LETTERS)
    .filter((name) => name in fixed)
    .map((name) => LETTERS[name] + fixed[name])
    .join("");
  const cell = current.cells[key];
  if (!cell) return null;
  const [faults, population] = cell;
  if (cell.length <= 2) return { faults, population, rate: null };
  const at = 2 + 3 * current.metrics.indexOf(METRICS[state.metric].column);
  const numbers = cell.slice(at, at + 3);
  const rate = shown(numbers[0]);
  if (numbers[1] === null) return { faults, population, rate };
  const [low, high] = numbers.slice(1).map(shown);
  return { faults, population, rate, low: Math.min(low, high), high: Math.max(low, high) };
}

// The groups along a dimension under the filters: with intervals where they were computed, else plain means.
function profile(dimension) {
  const values = current.values[dimension] || [];
  const others = { ...state.filters };
  delete others[dimension];
  const fixed = values.map((value) => ({ ...others, [dimension]: value }));
  let groups = fixed.map(cellOf);
  if (groups.some((group) => group === null)) {
    const saved = state.filters;
    state.filters = others;
    const place = new Map(values.map((value, index) => [value, index]));
    groups = sums(
      (armed) => place.get(valueOf(dimension, armed)),
      values.length,
      (armed) => place.get(leftOutValue(dimension, armed)),
    );
    state.filters = saved;
  }
  return groups.map((group, index) => ({
    ...group,
    value: values[index],
    label: labelOf(dimension, values[index]),
    chosen: state.filters[dimension] === undefined || state.filters[dimension] === values[index],
  }));
}

function labelOf(dimension, value) {
  if (dimension === "site") return current.sites[value];
  if (dimension === "kind") return current.kinds[value].replace(/_/g, " ");
  if (dimension === "cycle") return `${value + 1}/${PARTS}`;
  return String(value);
}

function textOf(fault, places) {
  const { columns, armed } = unpack(current);
  const bits = places.map((place) => {
    const row = Math.floor(armed.pe[place] / current.cols);
    return `${current.sites[armed.site[place]]}:r${row}:c${armed.pe[place] % current.cols}:b${armed.bit[place]}`;
  });
  let text = `${bits.join("+")}:${current.shorts[columns.kind[fault]]}`;
  if (columns.layer && columns.layer[fault] >= 0) {
    const [layer, gemm, tile, first, count] = ["layer", "gemm", "tile", "first_cycle", "cycles"].map(
      (name) => columns[name][fault],
    );
    text += `@l${layer}:g${gemm}:t${tile}:y${first}+${count}`;
  }
  return text;
}
