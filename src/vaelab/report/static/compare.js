"use strict";
// The page of many runs: a table that sorts, filters, groups and turns pages, and the marked runs over each other.
(() => {
  const PAGE = 50, MOST_MARKED = 8;
  const WORST = ["stop", "act", "watch", "cannot-tell", "healthy"];
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const make = (tag, parent, more = {}) => Object.assign(parent.appendChild(document.createElement(tag)), more);

  // Columns: title, the value to sort by, and what stands in the cell.
  const text = (title, get, row = false) => ({ title, row, key: get, cell: (td, run) => { td.textContent = get(run); td.className = `of-${title}`; } });
  // Short values, 4.5e-6 say, are not broken into two lines.
  const setting = (title, get) => ({ title, key: get, cell: (td, run) => { td.textContent = get(run); td.classList.toggle("whole-word", get(run).length < 16); } });
  const value = (title, get) => ({
    title, number: true, key: (run) => get(run) ?? null, cell: (td, run) => { td.textContent = formatValue(get(run)); td.className = "number"; },
  });
  const columns = [
    text("run", (run) => run.name, true),
    {
      title: "status", key: (run) => WORST.indexOf(run.status),
      cell: (td, run) => { td.className = `whole-word ${run.status}`; make("b", td, { textContent: run.status }); },
    },
    { title: "course", cell: (td, run) => spark(td, run.spark) },
    text("cause", (run) => run.cause),
    ...data.settings.map((title, i) => setting(title, (run) => run.settings[i])),
    ...data.numbers.map((title, i) => value(title, (run) => run.numbers[i])),
    value("last step", (run) => run.step),
    text("verdict", (run) => run.verdict), text("trainer", (run) => run.trainer),
  ];
  const searched = new Map(data.runs.map((run) => [run, [
    run.name, run.source, run.status, run.trainer, run.cause, run.verdict, ...data.settings.map((s, i) => `${s}=${run.settings[i]}`),
  ].join(" ").toLowerCase()]));
  const state = { sort: 1, down: false, page: 0, marked: [], plot: null, log: null };

  function spark(td, values) {
    const known = values.filter((v) => v != null);
    if (!known.length) return;
    const log = Math.min(...known) > 0 && Math.max(...known) > 100 * Math.min(...known);
    const scaled = values.map((v) => v == null ? null : log ? Math.log(v) : v);
    const [low, high] = extremes([scaled]);
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    for (const [name, to] of Object.entries({ class: "spark", viewBox: "0 0 90 22", width: 90, height: 22, "aria-hidden": "true" })) svg.setAttribute(name, to);
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    line.setAttribute("points", scaled.map((v, i) => v == null ? "" : `${(2 + 86 * i / Math.max(values.length - 1, 1)).toFixed(1)},${(19 - 16 * (high > low ? (v - low) / (high - low) : 0.5)).toFixed(1)}`).join(" "));
    for (const [name, to] of Object.entries({ fill: "none", stroke: "currentColor", "stroke-width": 1.5 })) line.setAttribute(name, to);
    svg.append(line);
    td.append(svg);
  }

  // Numbers by size, texts by their numbers where they hold some ("run 9" before "run 10"); what is missing comes last.
  const collator = new Intl.Collator("en", { numeric: true });
  function compareBy(column) {
    const sign = state.down ? -1 : 1;
    return (a, b) => {
      const [x, y] = [column.key(a), column.key(b)];
      const missing = (v) => v == null || v === "";
      if (missing(x) || missing(y)) return missing(x) - missing(y);
      if (typeof x === "number") return sign * (x - y);
      const [m, n] = [Number(x), Number(y)];
      return sign * (Number.isFinite(m) && Number.isFinite(n) ? m - n : collator.compare(x, y));
    };
  }

  function header() {
    const row = document.querySelector("#runs thead tr");
    row.textContent = "";
    make("th", row).append(Object.assign(document.createElement("span"), { className: "unseen", textContent: "mark" }));
    columns.forEach((column, i) => {
      const th = make("th", row, { scope: "col", className: column.number ? "number" : "" });
      if (!column.key) { th.textContent = column.title; return; }
      th.setAttribute("aria-sort", state.sort === i ? (state.down ? "descending" : "ascending") : "none");
      const button = make("button", th, { type: "button", className: "sort", textContent: column.title });
      button.append(state.sort === i ? (state.down ? " ▼" : " ▲") : "");
      button.addEventListener("click", () => {
        state.down = state.sort === i && !state.down;
        Object.assign(state, { sort: i, page: 0 });
        show();
        document.querySelectorAll("#runs thead th")[i + 1].querySelector("button").focus();
      });
    });
  }

  function show() {
    header();
    const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const group = columns.find((column) => column.title === byId("group").value);
    const runs = data.runs.filter((run) => words.every((word) => searched.get(run).includes(word)));
    runs.sort(compareBy(columns[state.sort]));
    const groupOf = (run) => { const td = document.createElement("td"); group.cell(td, run); return td.textContent || "not known"; };
    if (group) {
      const names = new Map(runs.map((run) => [run, groupOf(run)]));
      runs.sort((a, b) => collator.compare(names.get(a), names.get(b)));
    }
    const counts = WORST.map((s) => [s, runs.filter((run) => run.status === s).length]).filter(([, n]) => n);
    byId("counts").textContent = `${runs.length < data.runs.length ? `${runs.length} shown: ` : ""}${counts.map(([s, n]) => `${n} ${s}`).join(", ")}`;
    const pages = Math.max(Math.ceil(runs.length / PAGE), 1);
    state.page = Math.min(state.page, pages - 1);
    const body = document.querySelector("#runs tbody");
    body.textContent = "";
    let last = null;
    for (const run of runs.slice(PAGE * state.page, PAGE * (state.page + 1))) {
      if (group && groupOf(run) !== last) {
        last = groupOf(run);
        const count = runs.filter((other) => groupOf(other) === last).length;
        make("th", make("tr", body, { className: "group" }), { colSpan: columns.length + 1, scope: "rowgroup", textContent: `${group.title}: ${last} (${count})` });
      }
      const row = make("tr", body);
      const box = make("input", make("td", row), { type: "checkbox", checked: state.marked.includes(run) });
      box.setAttribute("aria-label", `Mark ${run.name}`);
      box.disabled = !box.checked && state.marked.length >= MOST_MARKED;
      box.addEventListener("change", () => mark(run, box.checked));
      for (const column of columns) column.cell(column.row ? make("th", row, { scope: "row" }) : make("td", row), run);
      row.children[1].title = run.source;
    }
    byId("pages").textContent = "";
    byId("pages").hidden = pages < 2;
    for (const [name, to] of [["Previous", state.page - 1], ["Next", state.page + 1]]) {
      const button = make("button", byId("pages"), { type: "button", textContent: name, disabled: to < 0 || to >= pages });
      button.addEventListener("click", () => { state.page = to; show(); });
    }
    make("span", byId("pages"), { textContent: `page ${state.page + 1} of ${pages}` });
  }

  function mark(run, on) {
    state.marked = on ? [...state.marked, run] : state.marked.filter((other) => other !== run);
    show();
    overlay();
  }

  // How many of the axis's units a step is, null where the log does not tell.
  const perStep = (run, axis) => axis === "step" ? 1 : run[axis] == null ? null : axis === "seconds" ? run.seconds / 3600 : run.samples;

  function overlay() {
    byId("overlay").hidden = state.marked.length === 0;
    state.plot?.destroy();
    state.plot = null;
    if (!state.marked.length) return;
    const metric = byId("metric").value, axis = byId("axis").value;
    const shown = state.marked.filter((run) => run.curves[metric] && perStep(run, axis) != null);
    const lost = state.marked.filter((run) => !shown.includes(run));
    byId("left-out").textContent = lost.length
      ? `Not drawn: ${lost.map((run) => run.name).join(", ")} (no ${metric}, or the log does not tell its ${axis === "seconds" ? "time" : axis === "samples" ? "batch size" : "steps"}).` : "";
    if (!shown.length) { byId("readout").textContent = ""; return; }
    const joined = uPlot.join(shown.map((run) => [run.curves[metric][0].map((s) => s * perStep(run, axis)), run.curves[metric][1]]));
    const [low, high] = extremes(joined.slice(1));
    const log = low > 0 && (state.log ?? high / low > 10);
    Object.assign(byId("log"), { checked: log, disabled: !(low > 0) });
    const ink = { stroke: cssColour("ink"), grid: { stroke: cssColour("rule"), width: 1 }, ticks: { stroke: cssColour("rule"), width: 1 }, font: "12px system-ui, sans-serif" };
    const numbers = (_, ticks) => ticks.map((v) => v == null ? "" : formatValue(v));
    state.plot = new uPlot({
      width: Math.max(byId("plot").clientWidth, 200), height: 300, legend: { show: false },
      scales: { x: { time: false }, y: { distr: log ? 3 : 1, range: (_, a, b) => valueRange(a, b, [], log) } },
      axes: [
        { ...ink, values: numbers, space: 70, size: 34 },
        { ...ink, values: numbers, size: axisSize, filter: (_, splits) => splits, ...(log ? { splits: (u) => logSplits(u.scales.y.min, u.scales.y.max) } : {}) },
      ],
      series: [{}, ...shown.map((run, i) => ({ label: run.name, stroke: cssColour(`line-${i % 8}`), width: 1.5, spanGaps: true, points: { show: false } }))],
      hooks: { setCursor: [(u) => readout(u, shown, u.cursor.idx)] },
    }, joined, byId("plot"));
    readout(state.plot, shown, null);
    const title = byId("metric").selectedOptions[0].textContent, over = byId("axis").selectedOptions[0].textContent;
    byId("plot").setAttribute("aria-label", `${title} over ${over}, last values: ${byId("readout").textContent}`);
  }

  // The names in the colours of their curves, with the values at the cursor: of each run its last point up to there.
  function readout(u, shown, row) {
    byId("readout").textContent = row == null ? "" : `${formatValue(u.data[0][row])} `;
    shown.forEach((run, i) => {
      const part = make("span", byId("readout"));
      make("i", part, { className: `line line-${i % 8}` });
      part.append(`${run.name} `);
      let at = row ?? u.data[0].length - 1;
      while (at > 0 && u.data[i + 1][at] == null) at -= 1;
      make("b", part, { textContent: formatValue(u.data[i + 1][at]) });
    });
  }

  for (const { name, title } of data.metrics) make("option", byId("metric"), { value: name, textContent: title });
  for (const title of ["status", "cause", "trainer", ...data.settings]) make("option", byId("group"), { value: title, textContent: title });
  byId("filter").addEventListener("input", settled(() => { state.page = 0; show(); }, 100));
  byId("group").addEventListener("change", () => { state.page = 0; show(); });
  byId("clear").addEventListener("click", () => { state.marked = []; show(); overlay(); });
  byId("metric").addEventListener("change", () => { state.log = null; overlay(); });
  byId("axis").addEventListener("change", overlay);
  byId("log").addEventListener("change", () => { state.log = byId("log").checked; overlay(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", overlay);
  printWhole(overlay);
  new ResizeObserver(settled(() => state.plot?.setSize({ width: byId("plot").clientWidth, height: 300 }), 60)).observe(byId("plot"));
  // all to begin with where there are few, else the worst and the best
  state.marked = [...data.runs].sort(compareBy(columns[1])).filter((_, i, { length }) => length <= MOST_MARKED || i < 3 || i === length - 1);
  show();
  overlay();
  window.vaelab = { data, state, show };
})();
