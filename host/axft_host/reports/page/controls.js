// Selects and buttons, and what starts the page.

// --- controls ------------------------------------------------------------------------------------------------

function option(value, text, selected) {
  const made = make("option", { value }, text);
  made.selected = selected;
  return made;
}

function buildControls() {
  const metrics = ["critical", "tolerable", "masked", "drop", "no_result"].filter(
    (name) => name !== "no_result" || current.metrics.includes(name),
  );
  if (!metrics.includes(state.metric)) state.metric = "critical";
  byId("pick-metric").replaceChildren(...metrics.map((name) => option(name, METRICS[name].name, name === state.metric)));
  for (const name of FILTERS) {
    const values = current.values[name] || [];
    if (!values.includes(state.filters[name])) delete state.filters[name];
    byId(`label-${name}`).hidden = values.length < 2;
    byId(`pick-${name}`).replaceChildren(
      option("", "all", !(name in state.filters)),
      ...values.map((value) => option(String(value), labelOf(name, value), state.filters[name] === value)),
    );
  }
  byId("pick-row").max = String(current.rows - 1);
  byId("pick-col").max = String(current.cols - 1);
}

function paint() {
  paintGrid();
  paintPe();
  paintProfiles();
  const matching = sums(() => 0, 1, () => 0)[0].faults;
  byId("filtered").textContent = `${number(matching)} of ${plural(current.faults, "fault")} shown`;
}

function showResult(place) {
  state.result = place;
  state.pe = null;
  current = results[place];
  buildControls();
  buildGrid();
  paint();
}

async function copy(button) {
  const text = JSON.stringify(results[Number(button.dataset.result)].meta, null, 2);
  try {
    await navigator.clipboard.writeText(text);
    byId("copied").textContent = "Copied.";
  } catch {
    // A browser may keep pages of files away from the clipboard.
    const field = make("textarea", { readonly: "", rows: 8, "aria-label": "Provenance as JSON" }, text);
    button.after(field);
    field.select();
    byId("copied").textContent = "The text is selected; press Ctrl+C to copy it.";
  }
}

function listen() {
  const heat = byId("heat");
  heat.addEventListener("keydown", keyInGrid);
  heat.addEventListener("click", (event) => {
    const cell = event.target.closest("td[role=gridcell]");
    if (cell) select(Number(cell.dataset.pe));
  });
  for (const kind of ["mouseover", "focusin"]) {
    heat.addEventListener(kind, (event) => {
      const cell = event.target.closest("td[role=gridcell]");
      if (cell) showTip(cell);
      else hideTip();
    });
  }
  for (const kind of ["mouseleave", "focusout"]) heat.addEventListener(kind, hideTip);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hideTip();
  });
  if (byId("pick-result")) {
    byId("pick-result").replaceChildren(...results.map((result, place) => option(String(place), result.label, place === 0)));
    byId("pick-result").addEventListener("change", (event) => showResult(Number(event.target.value)));
  }
  byId("pick-metric").addEventListener("change", (event) => {
    state.metric = event.target.value;
    paint();
  });
  for (const name of FILTERS) {
    byId(`pick-${name}`).addEventListener("change", (event) => {
      if (event.target.value === "") delete state.filters[name];
      else state.filters[name] = Number(event.target.value);
      paint();
    });
  }
  byId("reset").addEventListener("click", () => {
    state.filters = {};
    buildControls();
    paint();
  });
  byId("choose").addEventListener("submit", (event) => {
    event.preventDefault();
    select(Number(byId("pick-row").value) * current.cols + Number(byId("pick-col").value));
  });
  for (const button of document.querySelectorAll("button.copy")) button.addEventListener("click", () => copy(button));
  new ResizeObserver(sizeGrid).observe(heat);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paintGrid);
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const details of folded) details.open = true;
    // Paper is white, whatever the screen is.
    root.classList.add("on-paper");
    paintGrid();
  });
  window.addEventListener("afterprint", () => {
    for (const details of folded) details.open = false;
    root.classList.remove("on-paper");
    paintGrid();
  });
}

root.classList.add("scripted");
for (const details of document.querySelectorAll("details")) details.open = false;
listen();
showResult(0);
