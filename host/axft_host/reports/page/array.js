// The array as a grid of PEs, and the faults of the one that is selected.

// --- numbers -------------------------------------------------------------------------------------------------

const percent = (value, digits = 2) => (100 * value).toFixed(digits);
const number = (value) => value.toLocaleString("en-US");
const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

// A short percentage in which only 0 is "0" and only 100 is "100".
function short(value) {
  const hundred = 100 * value;
  if (hundred > 0 && hundred < 0.5) return "<1";
  if (hundred < 0 && hundred > -0.5) return "<0";
  if (hundred > 99.5 && hundred < 100) return ">99";
  return String(Math.round(hundred));
}

// A percentage of about three digits, in which what is not 0 does not look like it.
function brief(value) {
  const size = Math.abs(value);
  return value === 0 ? "0" : percent(value, size < 0.001 ? 3 : size < 0.01 ? 2 : 1);
}

function stepFor(span) {
  const power = 10 ** Math.floor(Math.log10(span / 4));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= span / 6);
}

// From 0, or from a round number below the lowest value, to a round one at or above the highest; both as fractions.
function axisFor(values) {
  const low = Math.min(0, ...values);
  const high = Math.max(0, ...values) || (low < 0 ? 0 : 0.01);
  const step = stepFor(high - low);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  const ticks = [];
  for (let tick = first; tick <= last; tick += 1) ticks.push(tick * step);
  const digits = Math.max(0, -Math.floor(Math.log10(100 * step) + 1e-9));
  return { low: first * step, high: last * step, ticks, digits };
}

// --- colour --------------------------------------------------------------------------------------------------

const parse = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

function ramp() {
  const text = getComputedStyle(root).getPropertyValue(`--ramp-${state.metric}`);
  const stops = text.trim().split(/\s+/).map(parse);
  return (share) => {
    const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    return stops[low].map((from, channel) => Math.round(from + (stops[low + 1][channel] - from) * (at - low)));
  };
}

// Black or white, whichever is read better (relative luminance of WCAG 2).
function inkOn(rgb) {
  const [r, g, b] = rgb.map((channel) => {
    const value = channel / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";
}

// --- the array -----------------------------------------------------------------------------------------------

let cells = [];
let grid = [];
let focused = 0;

function buildGrid() {
  const head = make("tr", null, make("td", { class: "corner" }));
  for (let col = 0; col < current.cols; col += 1) {
    const side = make("th", { scope: "col" }, make("span", { class: col % 4 ? "odd" : null }, String(col)));
    head.append(side);
  }
  const body = make("tbody");
  cells = [];
  for (let row = 0; row < current.rows; row += 1) {
    const line = make("tr", null, make("th", { scope: "row" }, make("span", { class: row % 4 ? "odd" : null }, String(row))));
    for (let col = 0; col < current.cols; col += 1) {
      const cell = make("td", { role: "gridcell", tabindex: -1 });
      cell.dataset.pe = String(cells.length);
      cells.push(cell);
      line.append(cell);
    }
    body.append(line);
  }
  const table = make("table", { role: "grid", class: "heat", "aria-labelledby": "heat-title" }, make("thead", null, head), body);
  for (const row of table.rows) row.setAttribute("role", "row");
  for (const side of head.querySelectorAll("th")) side.setAttribute("role", "columnheader");
  for (const side of body.querySelectorAll("th")) side.setAttribute("role", "rowheader");
  byId("heat").replaceChildren(table);
  // A wide array needs the whole width.
  byId("heat").closest(".columns").classList.toggle("stacked", current.cols > 32);
  focused = Math.min(focused, cells.length - 1);
  sizeGrid();
}

function sizeGrid() {
  const heat = byId("heat");
  const room = heat.clientWidth - 34;
  const size = Math.max(9, Math.min(40, Math.floor(room / current.cols) - 1));
  heat.style.setProperty("--cell", `${size}px`);
  heat.classList.toggle("numbered", size >= 20);
  heat.classList.toggle("sparse", size < 18);
}

function paintGrid() {
  const { armed } = unpack(current);
  grid = sums(
    (place) => armed.pe[place],
    cells.length,
    (place) => current.leftOut.pe[place],
    Object.keys(state.filters).length ? null : current.pePopulation,
  );
  const rates = grid.map((pe) => pe.rate).filter((rate) => rate !== null);
  const axis = axisFor(rates);
  const high = axis.high;
  const colour = ramp();
  cells.forEach((cell, pe) => {
    const { rate } = grid[pe];
    cell.classList.toggle("none", rate === null);
    // Shown by the style sheet: the label of the cell says it in full.
    cell.dataset.short = rate === null ? "" : short(rate);
    if (rate !== null) {
      const rgb = colour(rate / high);
      cell.style.backgroundColor = `rgb(${rgb.join(",")})`;
      cell.style.color = inkOn(rgb);
    } else {
      cell.style.backgroundColor = "";
      cell.style.color = "";
    }
    cell.setAttribute("aria-label", `${placeOf(pe)}: ${told(grid[pe])}`);
    cell.setAttribute("aria-selected", String(state.pe === pe));
    cell.tabIndex = pe === focused ? 0 : -1;
  });
  paintLegend(axis, colour);
}

const placeOf = (pe) => `row ${Math.floor(pe / current.cols)}, column ${pe % current.cols}`;

function told({ faults, rate }) {
  if (rate === null) return "no sampled fault";
  const unfiltered = !Object.keys(state.filters).length && current.pePopulation !== null;
  const of = unfiltered ? `${faults} of ${plural(current.pePopulation, "fault")}` : plural(faults, "fault");
  return `${METRICS[state.metric].name} ${percent(rate)} %, ${of}`;
}

function paintLegend(axis, colour) {
  const bar = draw("svg", { class: "ramp", width: 180, height: 12, "aria-hidden": "true" });
  for (let step = 0; step < 60; step += 1) {
    bar.append(draw("rect", { x: 3 * step, y: 0, width: 3.2, height: 12, fill: `rgb(${colour(step / 59).join(",")})` }));
  }
  byId("heat-legend").replaceChildren(
    make("span", null, `${METRICS[state.metric].name}: 0 %${axis.low < 0 ? " or less" : ""}`),
    bar,
    make("span", null, `${percent(axis.high, axis.digits)} %`),
    make("span", { class: "mark-box none", "aria-hidden": "true" }),
    make("span", null, "no sampled fault"),
  );
}

function moveTo(pe) {
  cells[focused].tabIndex = -1;
  focused = pe;
  cells[pe].tabIndex = 0;
  cells[pe].focus();
}

function keyInGrid(event) {
  const { rows, cols } = current;
  const row = Math.floor(focused / cols);
  const col = focused % cols;
  const whole = event.ctrlKey || event.metaKey;
  const moves = {
    ArrowLeft: [row, col - 1],
    ArrowRight: [row, col + 1],
    ArrowUp: [row - 1, col],
    ArrowDown: [row + 1, col],
    PageUp: [0, col],
    PageDown: [rows - 1, col],
    Home: [whole ? 0 : row, 0],
    End: [whole ? rows - 1 : row, cols - 1],
  };
  if (event.key === "Enter" || event.key === " ") {
    select(focused);
  } else if (moves[event.key]) {
    const [toRow, toCol] = moves[event.key];
    if (toRow >= 0 && toRow < rows && toCol >= 0 && toCol < cols) moveTo(toRow * cols + toCol);
  } else {
    return;
  }
  event.preventDefault();
}

function showTip(cell) {
  const tip = byId("tip");
  const pe = Number(cell.dataset.pe);
  tip.replaceChildren(make("strong", null, `PE ${placeOf(pe)}`), make("br"), told(grid[pe]));
  tip.hidden = false;
  const box = cell.getBoundingClientRect();
  const wide = tip.offsetWidth;
  const left = Math.min(Math.max(4, box.left + box.width / 2 - wide / 2), root.clientWidth - wide - 4);
  const above = box.top - tip.offsetHeight - 6;
  tip.style.left = `${left + window.scrollX}px`;
  tip.style.top = `${(above > 0 ? above : box.bottom + 6) + window.scrollY}px`;
}

const hideTip = () => {
  byId("tip").hidden = true;
};

// --- one PE --------------------------------------------------------------------------------------------------

function select(pe) {
  if (state.pe !== null && cells[state.pe]) cells[state.pe].setAttribute("aria-selected", "false");
  state.pe = pe;
  cells[focused].tabIndex = -1;
  focused = pe;
  cells[pe].tabIndex = 0;
  cells[pe].setAttribute("aria-selected", "true");
  byId("pick-row").value = String(Math.floor(pe / current.cols));
  byId("pick-col").value = String(pe % current.cols);
  paintPe();
}

function paintPe() {
  const panel = byId("pe");
  if (state.pe === null) {
    panel.replaceChildren(make("p", null, "Select a PE to see its faults."));
    return;
  }
  const { columns, armed } = unpack(current);
  const bits = new Map();
  for (let place = 0; place < armed.fault.length; place += 1) {
    if (armed.pe[place] === state.pe && passes(place)) bits.set(armed.fault[place], []);
  }
  for (let place = 0; place < armed.fault.length; place += 1) {
    if (bits.has(armed.fault[place])) bits.get(armed.fault[place]).push(place);
  }
  const faults = [...bits.keys()].sort(
    (a, b) => columns.critical[b] - columns.critical[a] || columns.tolerable[b] - columns.tolerable[a] || a - b,
  );
  const head = ["fault", "tolerable", "critical", "accuracy", "activated"];
  const rows = faults.slice(0, LISTED).map((fault) => [
    textOf(fault, bits.get(fault)),
    ...["tolerable", "critical", "correct"].map((name) => percent(columns[name][fault] / current.images, 1)),
    columns.certain[fault] ? "not run" : number(columns.activated[fault]),
  ]);
  const more = faults.length > LISTED ? make("p", null, `and ${number(faults.length - LISTED)} more`) : null;
  const certain = faults.some((fault) => columns.certain[fault]) ? "; certainly masked ones are not run" : "";
  const caption = `Its faults, % of ${plural(current.images, "image")}${certain}`;
  const table = faults.length ? tableOf(caption, head, rows) : null;
  const summary = make("p", null, make("strong", null, `PE ${placeOf(state.pe)}`), `: ${told(grid[state.pe])}`);
  panel.replaceChildren(...[summary, table, more].filter(Boolean));
}

function tableOf(caption, heads, rows) {
  const head = make("tr", null, ...heads.map((text) => make("th", { scope: "col" }, text)));
  const body = rows.map(([first, ...rest]) =>
    make("tr", null, make("th", { scope: "row" }, first), ...rest.map((text) => make("td", null, text))),
  );
  const table = make("table", null, make("caption", null, caption), make("thead", null, head), make("tbody", null, ...body));
  return make("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": caption }, table);
}
