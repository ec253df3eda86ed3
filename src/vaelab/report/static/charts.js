"use strict";
// The charts of one run, or of several over each other, drawn with uPlot: phases shaded, events marked, zoom and cursor
// shared by all of them. Used by the report (all points in the page) and by the live page (points asked of the server).

// A canvas knows no CSS variables: read them.
const cssColour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const formatStep = (v) => v == null ? "-" : v.toLocaleString("en-US", { maximumFractionDigits: 0 });

function formatValue(v) {
  if (v == null) return "-";
  const size = Math.abs(v);
  if (size !== 0 && (size >= 1e7 || size < 1e-4)) return v.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
  return v.toLocaleString("en-US", size >= 1000 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 4 });
}

// Lowest and highest number of all lines; no spread into Math.min, which fails on long lists.
function extremes(lines) {
  let low = Infinity, high = -Infinity;
  for (const line of lines) for (const v of line) if (v != null) { low = Math.min(low, v); high = Math.max(high, v); }
  return [low, high];
}

// Over many decades a log axis has lines at powers of ten only.
const gridLines = (u, splits) => u.scales.y.distr === 3 && u.scales.y.max > 300 * u.scales.y.min
  ? splits.map((v) => Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-6 ? v : null) : splits;

// Room for the longest number, and for most charts the same.
const axisSize = (_, texts) => Math.max(62, 16 + 7.5 * Math.max(0, ...(texts ?? []).map((text) => text.length)));

// A flat curve lies in the middle of its plot.
function linearRange(low, high) {
  if (low == null) return [0, 1];
  return low === high ? [low - (Math.abs(low) || 1) / 10, high + (Math.abs(high) || 1) / 10]
    : uPlot.rangeNum(low, high, 0.1, true);
}

// Draw inside the plot only, in pixels of the device.
function inPlot(u, draw) {
  const { left, top, width, height } = u.bbox;
  u.ctx.save();
  u.ctx.beginPath();
  u.ctx.rect(left, top, width, height);
  u.ctx.clip();
  draw(u.ctx, u.bbox, devicePixelRatio);
  u.ctx.restore();
}

const shadePhases = (u, phases) => inPlot(u, (ctx, { top, height }) => {
  ctx.globalAlpha = Number(cssColour("shade"));
  for (const phase of phases) {
    const from = u.valToPos(phase.first, "x", true), to = u.valToPos(phase.last, "x", true);
    ctx.fillStyle = cssColour(`phase-${phase.kind}`);
    ctx.fillRect(from, top, to - from, height);
  }
});

const drawMarks = (u, markers, chart) => inPlot(u, (ctx, { left, top, width, height }, ratio) => {
  ctx.lineWidth = ratio;
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  ctx.textAlign = "left";
  ctx.textBaseline = "alphabetic";
  ctx.strokeStyle = ctx.fillStyle = cssColour("mark");
  ctx.setLineDash([5 * ratio, 4 * ratio]);
  let lastLabel = -Infinity;
  for (const marker of markers) {
    const x = u.valToPos(marker.step, "x", true);
    ctx.beginPath();
    ctx.moveTo(x, top);
    ctx.lineTo(x, top + height);
    ctx.stroke();
    const size = ctx.measureText(marker.label).width;
    const at = Math.min(x + 3 * ratio, left + width - size);
    if (x >= left && x <= left + width && at > lastLabel) {
      ctx.fillText(marker.label, at, top + 11 * ratio);
      lastLabel = at + size + 6 * ratio;
    }
  }
  if (chart.level != null) {
    const y = u.valToPos(chart.level, "y", true);
    ctx.setLineDash([2 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(left, y);
    ctx.lineTo(left + width, y);
    ctx.stroke();
    ctx.fillText("chance level", left + 4 * ratio, y - 4 * ratio);
  }
  ctx.fillStyle = cssColour("bad");
  for (const step of chart.notFinite) ctx.fillText("x", u.valToPos(step, "x", true) - 3 * ratio, top + height - 4 * ratio);
});

class ChartSet {
  // axis: {stepUnit, steps: [first, last], phases, markers}. onRange: called when other steps are shown.
  constructor(parent, key, axis, onRange = () => {}) {
    Object.assign(this, { parent, key, axis, onRange, entries: [], range: [...axis.steps] });
  }

  // chart: {metrics, title, original, rows, level, decibels}, and x, y, notFinite once they are known.
  add(chart) {
    const figure = document.createElement("section");
    figure.className = "chart";
    figure.tabIndex = 0;
    figure.setAttribute("aria-label", `Plot of ${chart.title}. Arrow keys move, plus and minus zoom, 0 shows all steps.`);
    const header = document.createElement("header");
    const title = document.createElement("h3");
    const button = document.createElement("button");
    button.type = "button";
    const box = document.createElement("div");
    header.append(title, button);
    figure.append(header, box);
    this.parent.append(figure);
    const entry = { set: this, chart, box, figure, title, button, log: null, plot: null };
    button.addEventListener("click", () => { entry.log = !entry.log; this.build(entry); });
    figure.addEventListener("keydown", (event) => this.#onKey(event));
    this.entries.push(entry);
    this.describe(entry, chart);
    return entry;
  }

  // Texts of a chart that may change while the run goes on.
  describe(entry, about) {
    Object.assign(entry.chart, about);
    entry.title.textContent = entry.chart.title;
    entry.title.title = `in the log: ${entry.chart.original}; ${entry.chart.rows.toLocaleString("en-US")} values`;
  }

  remove(entry) {
    entry.plot?.destroy();
    entry.figure.remove();
    this.entries = this.entries.filter((e) => e !== entry);
  }

  // Show only charts whose title or name in the log holds `text`; without a text the first `most`.
  filter(text, most = Infinity) {
    const part = text.trim().toLowerCase();
    this.entries.forEach(({ chart, figure }, i) => {
      const name = `${chart.title} ${chart.original} ${chart.metrics.join(" ")}`.toLowerCase();
      figure.hidden = part ? !name.includes(part) : i >= most;
    });
    this.resize();
  }

  // New points for a chart; the steps shown stay.
  setPoints(entry, points) {
    Object.assign(entry.chart, points);
    const [low] = extremes(entry.chart.y);
    if (!entry.plot || (entry.log && low <= 0)) return this.build(entry);
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

  // Charts of a hidden run have no width: they are drawn when their run is shown.
  draw() {
    for (const entry of this.entries) if (!entry.plot && entry.chart.x) this.build(entry);
  }

  redraw() {
    for (const entry of this.entries) if (entry.plot) this.build(entry);
  }

  resize() {
    for (const { plot, box } of this.entries) if (plot && box.clientWidth) plot.setSize({ width: box.clientWidth, height: plot.height });
  }

  zoom(from, to) {
    if (!(to > from)) return;
    const other = from !== this.range[0] || to !== this.range[1];
    this.range = [from, to];
    for (const { plot } of this.entries) {
      if (plot && (plot.scales.x.min !== from || plot.scales.x.max !== to)) plot.setScale("x", { min: from, max: to });
    }
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
    this.resize();
    const target = (meant[0] ?? this.entries.find((e) => !e.figure.hidden))?.figure;
    if (!target) return;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    target.scrollIntoView({ block: "center", behavior: calm ? "auto" : "smooth" });
    target.focus({ preventScroll: true });
  }

  build(entry) {
    const { chart, box, button } = entry;
    const [low, high] = extremes(chart.y);
    // A layout choice only: positive values that span more than a decade start on a log axis.
    entry.log = low > 0 && (entry.log ?? (!chart.decibels && high / low > 10));
    button.disabled = !(low > 0);
    button.textContent = entry.log ? "log axis" : "linear axis";
    button.title = button.disabled ? "A log axis needs positive values" : "Change between log and linear axis";
    entry.plot?.destroy();
    box.textContent = "";
    entry.plot = new uPlot(this.#options(entry), [chart.x, ...chart.y], box);
    entry.plot.setScale("x", { min: this.range[0], max: this.range[1] });
    // uPlot's own double click shows only what this chart holds; all charts of a run show the same steps
    entry.plot.over.addEventListener("dblclick", () => this.command("zoom-out"));
  }

  #options({ chart, box, log }) {
    const axis = {
      stroke: cssColour("ink"), grid: { stroke: cssColour("rule"), width: 1 }, ticks: { stroke: cssColour("rule"), width: 1 },
      font: "12px system-ui, sans-serif",
    };
    return {
      width: Math.max(box.clientWidth, 200),
      height: 230,
      cursor: { sync: { key: this.key, scales: ["x", null] }, drag: { x: true, y: false } },
      scales: { x: { time: false }, y: log ? { distr: 3 } : { distr: 1, range: (_, low, high) => linearRange(low, high) } },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map((v) => v == null ? "" : v.toLocaleString("en-US")), space: 70 },
        { ...axis, size: axisSize, grid: { ...axis.grid, filter: gridLines }, values: (_, ticks) => ticks.map((v) => v == null ? "" : formatValue(v)) },
      ],
      series: [
        { label: this.axis.stepUnit, value: (_, v) => formatStep(v) },
        ...(chart.lines ?? chart.metrics).map((name, i) => ({
          label: name, stroke: cssColour(`line-${i % 8}`), width: 1.5, dash: i < 8 ? undefined : [6, 4], spanGaps: true,
          value: (_, v) => formatValue(v), points: { show: (u, _, from, to) => to - from < u.bbox.width / devicePixelRatio / 20 },
        })),
      ],
      hooks: {
        drawClear: [(u) => shadePhases(u, this.axis.phases)],
        draw: [(u) => drawMarks(u, this.axis.markers, chart)],
        setScale: [(u, key) => {
          const { min, max } = u.scales.x;
          if (key === "x" && min != null && u.status === 1) this.zoom(min, max);
        }],
      },
    };
  }

  #onKey(event) {
    const commands = {
      ArrowLeft: "earlier", ArrowRight: "later", "+": "zoom-in", "=": "zoom-in", "-": "zoom-less", "0": "zoom-out",
      Escape: "zoom-out", End: "newest",
    };
    if (event.target.tagName === "BUTTON" || event.ctrlKey || event.metaKey || event.altKey || !commands[event.key]) return;
    this.command(commands[event.key]);
    event.preventDefault();
  }
}

// Copies the text of the <pre> beside a button.
async function copyBlock(button) {
  const block = button.parentElement.querySelector("pre");
  try {
    await navigator.clipboard.writeText(block.textContent);
    button.textContent = "copied";
  } catch {
    getSelection().selectAllChildren(block);
    button.textContent = "selected: press Ctrl+C";
  }
}

// Calls a function once, a moment after the last of many calls.
function settled(call, milliseconds) {
  let waiting = 0;
  return () => { clearTimeout(waiting); waiting = setTimeout(call, milliseconds); };
}
