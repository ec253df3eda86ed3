// The charts of one run, or of several over each other, drawn with uPlot: zoom and cursor shared by all of them. Used by the
// report (all points in the page) and by the live page (points asked of the server).

class ChartSet {
  // axis: {stepUnit, steps: [first, last], phases, markers}. onRange: called when other steps or widths are shown.
  constructor(parent, key, axis, onRange = () => {}) {
    Object.assign(this, { parent, key, axis, onRange, entries: [], range: [...axis.steps] });
    // a plot changes its width with the window, and is first drawn when its run or its fold is opened
    this.observer = new ResizeObserver(settled(() => { this.draw(); this.onRange(); }, 60));
  }

  // chart: {metrics, title, original, rows, place, levels, natural, shade, decibels}, and x, y, notFinite once they are known.
  add(chart) {
    const make = (tag, parent, more = {}) => Object.assign(parent.appendChild(document.createElement(tag)), more);
    const figure = document.createElement("section");
    figure.className = "chart";
    figure.tabIndex = 0;
    figure.setAttribute("role", "group");
    const header = make("header", figure);
    const title = make("h3", header);
    const label = make("label", header, { className: "switch" });
    const log = make("input", label, { type: "checkbox" });
    log.setAttribute("role", "switch");
    make("span", label, { textContent: "log" });
    const readout = make("p", figure, { className: "readout" });
    const box = make("div", figure, { className: "plot" });
    box.setAttribute("role", "img");
    const entry = { set: this, chart, box, figure, title, switch: log, readout, log: null, plot: null };
    log.addEventListener("change", () => { entry.log = log.checked; this.build(entry); });
    figure.addEventListener("keydown", (event) => this.#onKey(event));
    box.addEventListener("wheel", (event) => this.#onWheel(event, entry), { passive: false });
    for (const kind of ["touchstart", "touchmove"]) box.addEventListener(kind, (event) => this.#onTouch(event, entry), { passive: false });
    this.entries.push(entry);
    this.observer.observe(box);
    this.describe(entry, chart);
    return entry;
  }

  // Texts of a chart, and its place on the page, which may change while the run goes on.
  describe(entry, about) {
    Object.assign(entry.chart, about);
    const { title, original, rows, place } = entry.chart;
    entry.title.textContent = title;
    entry.title.title = `in the log: ${original}; ${rows.toLocaleString("en-US")} values`;
    if (entry.place !== place) this.parent.querySelector(`.${place}-charts`).append(entry.figure);
    entry.place = place;
    this.#showReadout(entry);
    const dull = this.parent.querySelector("details.dull"), count = this.entries.filter((e) => e.place === "dull").length;
    if (!dull) return;
    dull.hidden = count === 0;
    dull.querySelector("summary").textContent = `${count} plot${count === 1 ? "" : "s"} of columns that never move`;
  }

  remove(entry) {
    this.observer.unobserve(entry.box);
    entry.plot?.destroy();
    entry.figure.remove();
    this.entries = this.entries.filter((e) => e !== entry);
  }

  // Show only charts whose title or name in the log holds `text`; without a text the first `most`.
  filter(text, most = Infinity) {
    const part = text.trim().toLowerCase();
    let count = 0;
    for (const { chart, figure, place } of this.entries) {
      const name = `${chart.title} ${chart.original} ${chart.metrics.join(" ")}`.toLowerCase();
      if (place === "main") count += 1;
      if (place !== "first") figure.hidden = part ? !name.includes(part) : place === "main" && count > most;
    }
  }

  // New points for a chart; the steps shown stay.
  setPoints(entry, points) {
    Object.assign(entry.chart, points);
    const [low] = extremes(entry.chart.y);
    if (!entry.plot || (entry.log && low <= 0)) return this.build(entry);
    this.#showReadout(entry);
    entry.plot.batch(() => {
      entry.plot.setData([entry.chart.x, ...entry.chart.y], false);
      entry.plot.setScale("x", { min: this.range[0], max: this.range[1] });
    });
  }

  // The run has gone on. Who looks at all steps, or at the newest ones, goes on with it; any other view stays.
  setAxis(axis) {
    const [first, last] = this.axis.steps, [from, to] = this.range;
    const moved = axis.steps[1] - last;
    this.axis = axis;
    if (from <= first && to >= last) this.zoom(...axis.steps);
    else if (to >= last && moved) this.zoom(from + moved, to + moved);
    else for (const entry of this.entries) entry.plot?.redraw();
  }

  // Draw what is shown and not drawn, or drawn for another width.
  draw() {
    for (const entry of this.entries) {
      const width = plotWidth(entry.box);
      if (!width || !entry.chart.x) continue;
      if (!entry.plot) this.build(entry);
      else if (entry.plot.width !== width) entry.plot.setSize({ width, height: entry.plot.height });
    }
  }

  redraw() {
    for (const entry of this.entries) if (entry.plot) this.build(entry);
  }

  zoom(from, to) {
    if (!(to > from)) return;
    const other = from !== this.range[0] || to !== this.range[1];
    this.range = [from, to];
    for (const { plot } of this.entries) {
      if (plot && (plot.scales.x.min !== from || plot.scales.x.max !== to)) plot.setScale("x", { min: from, max: to });
    }
    const [first, last] = this.axis.steps;
    this.parent.classList.toggle("zoomed", from > first || to < last);
    if (other) this.onRange();
  }

  // What the buttons over the charts and the keys do.
  command(name) {
    const [from, to] = this.range, [first, last] = this.axis.steps;
    const part = (to - from) / 5;
    const ranges = {
      "zoom-out": [first, last], "newest": [last - Math.max((last - first) / 10, 1), last],
      "zoom-in": [from + part, to - part], "zoom-less": [from - part, to + part],
      "earlier": [from - part, to - part], "later": [from + part, to + part],
    };
    this.zoom(...ranges[name]);
    if (name === "zoom-out") for (const { figure } of this.entries) figure.classList.remove("meant");
  }

  // Zoom to the steps of a finding and go to the first chart of its metrics.
  showFinding(from, to, metrics) {
    const [first, last] = this.axis.steps;
    const pad = Math.max((to - from) * 0.1, (last - first) * 0.01, 1);
    this.zoom(Math.max(from - pad, first), Math.min(to + pad, last));
    const meant = this.entries.filter((e) => e.chart.metrics.some((m) => metrics.includes(m)));
    for (const entry of this.entries) entry.figure.classList.toggle("meant", meant.includes(entry));
    for (const entry of meant) entry.figure.hidden = false;
    const target = (meant[0] ?? this.entries.find((e) => !e.figure.hidden))?.figure;
    if (!target) return;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    target.scrollIntoView({ block: "center", behavior: calm ? "auto" : "smooth" });
    target.focus({ preventScroll: true });
  }

  build(entry) {
    const { chart, box, switch: log } = entry;
    const [low, high] = extremes(chart.y);
    // A layout choice only: positive values that span more than a decade start on a log axis, as do errors with a PSNR beside them.
    entry.log = low > 0 && (entry.log ?? (chart.natural?.kind === "db" || (!chart.decibels && high / low > 10)));
    log.disabled = !(low > 0);
    log.checked = entry.log;
    log.parentElement.title = log.disabled ? "A log axis needs positive values" : "Logarithmic or linear axis";
    entry.plot?.destroy();
    box.textContent = "";
    entry.levels = nearLevels(chart.levels, low, high);
    entry.plot = new uPlot(this.#options(entry), [chart.x, ...chart.y], box);
    entry.plot.setScale("x", { min: this.range[0], max: this.range[1] });
    // uPlot's own double click shows only what this chart holds; all charts of a run show the same steps
    entry.plot.over.addEventListener("dblclick", () => this.command("zoom-out"));
    this.#showReadout(entry);
  }

  #options({ chart, box, log, levels, place }) {
    const axis = {
      stroke: cssColour("ink"), grid: { stroke: cssColour("rule"), width: 1 }, ticks: { stroke: cssColour("rule"), width: 1 },
      font: "12px system-ui, sans-serif",
    };
    const numbers = (convert) => (_, ticks) => ticks.map((v) => v == null ? "" : formatValue(convert(v)));
    const { natural } = chart;
    const second = natural && {
      ...axis, side: 1, scale: "y", size: axisSize, grid: { show: false }, splits: (u) => naturalSplits(natural, u.scales.y), filter: (_, splits) => splits,
      values: numbers((v) => Number(toNatural(natural, v).toPrecision(4))), label: `${natural.name} (${natural.unit})`, labelSize: 18,
      labelFont: "12px system-ui, sans-serif",
    };
    return {
      width: plotWidth(box) || 200,
      height: place === "first" ? 250 : 190,
      legend: { show: false },
      cursor: { sync: { key: this.key, scales: ["x", null] }, drag: { x: true, y: false }, points: { size: 6 } },
      scales: {
        x: { time: false }, y: { distr: log ? 3 : 1, range: (_, low, high) => valueRange(low, high, levels, log) },
      },
      axes: [
        {
          ...axis, space: 70, size: 34, values: (_, ticks) => {
            const first = ticks.findIndex((v) => v != null); // it names the unit
            return ticks.map((v, i) => v == null ? "" : `${i === first ? `${this.axis.stepUnit} ` : ""}${v.toLocaleString("en-US")}`);
          },
        },
        {
          ...axis, size: axisSize, values: numbers((v) => v), filter: (_, splits) => splits,
          ...(log ? { splits: (u) => logSplits(u.scales.y.min, u.scales.y.max) } : {}),
        },
        ...(second ? [second] : []),
      ],
      series: [
        { label: this.axis.stepUnit },
        ...(chart.lines ?? chart.metrics).map((name, i) => ({
          label: name, stroke: cssColour(`line-${i % 8}`), width: 1.5, dash: i < 8 ? undefined : [6, 4], spanGaps: true,
          points: { show: (u, _, from, to) => to - from < u.bbox.width / devicePixelRatio / 20 },
        })),
      ],
      hooks: {
        drawClear: [(u) => shade(u, this.axis.phases, chart, levels)],
        draw: [(u) => drawMarks(u, this.axis.markers, chart, levels)],
        setCursor: [(u) => this.#showReadout(this.entries.find((entry) => entry.plot === u), u.cursor.idx)],
        setScale: [(u, key) => {
          const { min, max } = u.scales.x;
          if (key === "x" && min != null && u.status === 1) this.zoom(min, max);
        }],
      },
    };
  }

  // Under the title: the values at the cursor, else the newest ones.
  #showReadout(entry, row = null) {
    if (!entry) return;
    const { chart, readout, figure, box } = entry;
    const names = chart.lines ?? chart.metrics;
    if (!chart.x) { readout.textContent = "loading ..."; box.setAttribute("aria-label", `${chart.title}: loading`); return; }
    const newest = (line) => { for (let i = line.length - 1; i >= 0; i -= 1) if (line[i] != null) return line[i]; return null; };
    const texts = chart.y.map((line) => {
      const value = row == null ? newest(line) : line[row];
      const more = chart.natural && value > 0 ? ` (${formatValue(Number(toNatural(chart.natural, value).toPrecision(4)))} ${chart.natural.unit})` : "";
      return formatValue(value) + more;
    });
    const where = row == null ? "last" : `${this.axis.stepUnit} ${formatStep(chart.x[row])}`;
    readout.textContent = "";
    readout.append(`${where} `);
    texts.forEach((text, i) => {
      const part = readout.appendChild(document.createElement("span"));
      if (names.length > 1) {
        part.append(Object.assign(document.createElement("i"), { className: `line line-${i % 8}` }), `${names[i]} `);
      }
      part.append(Object.assign(document.createElement("b"), { textContent: text }));
    });
    if (row != null) return;
    const levels = chart.levels.map((level) => level.label).join("; "), [first, last] = this.axis.steps.map(formatStep);
    figure.setAttribute("aria-label", `Plot of ${chart.title}. Arrow keys move, plus and minus zoom, 0 shows all steps.`);
    box.setAttribute("aria-label", `${chart.title} over ${this.axis.stepUnit}s ${first} to ${last}: last ${texts.join(", ")}`
      + `${levels ? `; lines: ${levels}` : ""}.${chart.says ? ` ${chart.says}.` : ""}`);
  }

  // Ctrl and the wheel (or two fingers on a touch pad) zoom about the pointer; the wheel alone scrolls the page.
  #onWheel(event, { plot }) {
    if (!(event.ctrlKey || event.metaKey) || !plot) return;
    event.preventDefault();
    const [first, last] = this.axis.steps, [from, to] = this.range;
    const at = plot.posToVal(event.clientX - plot.over.getBoundingClientRect().left, "x");
    const factor = event.deltaY > 0 ? 1.25 : 0.8;
    this.zoom(Math.max(at - (at - from) * factor, Math.min(first, from)), Math.min(at + (to - at) * factor, Math.max(last, to)));
  }

  // Two fingers: the steps that they touch stay under them. One finger scrolls the page.
  #onTouch(event, entry) {
    if (event.touches.length !== 2 || !entry.plot) return;
    event.preventDefault();
    const { left, width } = entry.plot.over.getBoundingClientRect();
    const [a, b] = [...event.touches].map((touch) => touch.clientX - left).sort((one, other) => one - other);
    if (event.type === "touchstart") entry.pinched = [a, b].map((x) => entry.plot.posToVal(x, "x"));
    if (event.type === "touchstart" || b - a < 8) return;
    const [from, to] = entry.pinched, unit = (to - from) / (b - a), [first, last] = this.axis.steps;
    this.zoom(Math.max(from - a * unit, first), Math.min(from + (width - a) * unit, last));
  }

  #onKey(event) {
    const commands = {
      ArrowLeft: "earlier", ArrowRight: "later", "+": "zoom-in", "=": "zoom-in", "-": "zoom-less", "0": "zoom-out",
      Escape: "zoom-out", End: "newest",
    };
    if (["BUTTON", "INPUT"].includes(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey || !commands[event.key]) return;
    this.command(commands[event.key]);
    event.preventDefault();
  }
}
