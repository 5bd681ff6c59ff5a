// Rates along bits, kinds, sites, layers, cycles, rows and columns.

// --- profiles ------------------------------------------------------------------------------------------------

const HEIGHT = 150;

function chartOf(dimension, groups) {
  const known = groups.filter((group) => group.rate !== null);
  const axis = axisFor(known.flatMap((group) => [group.rate, group.high === undefined ? group.rate : group.high, group.low || 0]));
  const y = (value) => HEIGHT * (1 - (value - axis.low) / (axis.high - axis.low));
  const slot = 100 / groups.length;
  const chart = draw("svg", { class: "chart", width: "100%", height: HEIGHT, role: "img" });
  for (const tick of axis.ticks) {
    chart.append(draw("line", { x1: 0, x2: "100%", y1: y(tick), y2: y(tick), class: "grid" }));
    chart.append(draw("text", { x: -6, y: y(tick) + 4, class: "tick end" }, percent(tick, axis.digits)));
  }
  const every = Math.ceil(groups.length / 16);
  groups.forEach((group, index) => {
    const middle = `${slot * (index + 0.5)}%`;
    if (index % every === 0) chart.append(draw("text", { x: middle, y: HEIGHT + 16, class: "tick middle" }, group.label));
    if (group.rate === null) {
      const cross = draw("text", { x: middle, y: HEIGHT - 4, class: "tick middle" }, "×");
      cross.append(draw("title", null, `${DIMENSIONS[dimension]} ${group.label}: no sampled fault`));
      chart.append(cross);
      return;
    }
    const top = Math.min(y(group.rate), y(0));
    const bar = draw("rect", {
      x: `${slot * (index + 0.15)}%`,
      width: `${slot * 0.7}%`,
      y: top,
      height: Math.abs(y(group.rate) - y(0)),
      class: `of-${state.metric}${group.chosen ? "" : " faint"}`,
    });
    bar.append(draw("title", null, `${DIMENSIONS[dimension]} ${group.label}: ${toldGroup(group)}`));
    chart.append(bar);
    if (group.high > group.low + 1e-9) {
      chart.append(draw("line", { x1: middle, x2: middle, y1: y(group.low), y2: y(group.high), class: "whisker" }));
      for (const end of [group.low, group.high]) {
        // A short thick line is a cap of fixed width, wherever its middle is.
        chart.append(draw("line", { x1: middle, x2: middle, y1: y(end) - 0.75, y2: y(end) + 0.75, class: "cap" }));
      }
    }
    if (groups.length <= 16) {
      const highest = Math.min(top, group.high === undefined ? top : y(group.high));
      chart.append(draw("text", { x: middle, y: highest - 5, class: "value small" }, brief(group.rate)));
    }
  });
  chart.append(draw("text", { x: "50%", y: HEIGHT + 34, class: "axis middle" }, DIMENSIONS[dimension]));
  const highest = known.reduce((best, group) => (best === null || group.rate > best.rate ? group : best), null);
  const most = highest ? `highest ${percent(highest.rate)} % at ${highest.label}` : "no sampled fault";
  chart.setAttribute("aria-label", `${METRICS[state.metric].name} by ${DIMENSIONS[dimension]}: ${most}`);
  return chart;
}

function toldGroup(group) {
  const interval = group.high > group.low + 1e-9 ? ` (${percent(group.low)} to ${percent(group.high)})` : "";
  return `${percent(group.rate)} %${interval}, ${plural(group.faults, "fault")}`;
}

function paintProfiles() {
  const open = new Set([...byId("profiles").querySelectorAll("details[open]")].map((details) => details.dataset.of));
  const figures = Object.keys(DIMENSIONS)
    .filter((dimension) => (current.values[dimension] || []).length > (dimension === "bit" ? 0 : 1))
    .map((dimension) => {
      const groups = profile(dimension);
      const withIntervals = groups.some((group) => group.high > group.low + 1e-9);
      const name = METRICS[state.metric].name;
      const note = withIntervals || !current.intervals ? null : "Means of the drawn faults: no intervals are computed here.";
      const rows = groups.map((group) => [
        group.label,
        group.population ? `${number(group.faults)} of ${number(group.population)}` : number(group.faults),
        group.rate === null ? "no sampled fault" : percent(group.rate),
        group.high !== undefined && withIntervals && group.rate !== null ? `${percent(group.low)} to ${percent(group.high)}` : "-",
      ]);
      const title = `${name[0].toUpperCase()}${name.slice(1)} by ${DIMENSIONS[dimension]}`;
      const details = make(
        "details",
        { open: open.has(dimension) },
        make("summary", null, `Numbers by ${DIMENSIONS[dimension]}`),
        tableOf(title, [DIMENSIONS[dimension], "faults", `${name} %`, "interval %"], rows),
      );
      details.dataset.of = dimension;
      const long = groups.length > 16 ? "long" : null;
      return make(
        "figure",
        { class: long },
        make("h3", null, title),
        chartOf(dimension, groups),
        note && make("figcaption", null, note),
        details,
      );
    });
  byId("profiles").replaceChildren(...figures);
}
