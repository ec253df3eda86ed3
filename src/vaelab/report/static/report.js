"use strict";
// Draws the charts of each run with uPlot: phases shaded, events marked, zoom and cursor shared by all charts of a run.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const charts = data.map(() => []);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  const format = (v) => {
    if (v == null) return "-";
    const size = Math.abs(v);
    if (size !== 0 && (size >= 1e7 || size < 1e-4)) return v.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
    return v.toLocaleString("en-US", size >= 1000 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 4 });
  };

  // A layout choice only: positive values that span more than a decade start on a log axis.
  const startsLog = (chart) => {
    const values = chart.y.flat().filter((v) => v != null);
    let low = Infinity, high = -Infinity;
    for (const v of values) { low = Math.min(low, v); high = Math.max(high, v); }
    return low > 0 && high / low > 10;
  };
  const allPositive = (chart) => chart.y.every((series) => series.every((v) => v == null || v > 0));

  // Over many decades a log axis has lines at powers of ten only.
  const gridLines = (u, splits) => u.scales.y.distr === 3 && u.scales.y.max > 300 * u.scales.y.min
    ? splits.map((v) => Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-6 ? v : null) : splits;

  // A flat curve lies in the middle of its plot.
  const linearRange = (low, high) => {
    if (low == null) return [0, 1];
    return low === high ? [low - (Math.abs(low) || 1) / 10, high + (Math.abs(high) || 1) / 10]
      : uPlot.rangeNum(low, high, 0.1, true);
  };

  function shade(u, run) {
    const { left, top, width, height } = u.bbox;
    const ctx = u.ctx;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    ctx.globalAlpha = Number(colour("shade"));
    for (const phase of run.phases) {
      const from = u.valToPos(phase.first, "x", true), to = u.valToPos(phase.last, "x", true);
      ctx.fillStyle = colour(`phase-${phase.kind}`);
      ctx.fillRect(from, top, to - from, height);
    }
    ctx.restore();
  }

  function mark(u, run, chart) {
    const { left, top, width, height } = u.bbox;
    const ctx = u.ctx, ratio = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    ctx.lineWidth = ratio;
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    ctx.strokeStyle = ctx.fillStyle = colour("mark");
    ctx.setLineDash([5 * ratio, 4 * ratio]);
    let lastLabel = -Infinity;
    for (const marker of run.markers) {
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
    ctx.fillStyle = colour("bad");
    for (const step of chart.notFinite) {
      ctx.fillText("x", u.valToPos(step, "x", true) - 3 * ratio, top + height - 4 * ratio);
    }
    ctx.restore();
  }

  function zoom(runIndex, from, to) {
    for (const entry of charts[runIndex]) {
      const { min, max } = entry.plot.scales.x;
      if (min !== from || max !== to) entry.plot.setScale("x", { min: from, max: to });
    }
  }
  const zoomOut = (runIndex) => zoom(runIndex, ...data[runIndex].steps);

  function build(entry) {
    const { run, runIndex, chart, box } = entry;
    const range = entry.plot ? [entry.plot.scales.x.min, entry.plot.scales.x.max] : run.steps;
    if (entry.plot) entry.plot.destroy();
    const axis = {
      stroke: colour("ink"), grid: { stroke: colour("rule"), width: 1 }, ticks: { stroke: colour("rule"), width: 1 },
      font: "12px system-ui, sans-serif",
    };
    const options = {
      width: Math.max(box.clientWidth, 200),
      height: 230,
      cursor: { sync: { key: `run-${runIndex}`, scales: ["x", null] }, drag: { x: true, y: false } },
      scales: {
        x: { time: false },
        y: entry.log ? { distr: 3 } : { distr: 1, range: (_, low, high) => linearRange(low, high) },
      },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map((v) => v == null ? "" : v.toLocaleString("en-US")), space: 70 },
        { ...axis, size: 62, grid: { ...axis.grid, filter: gridLines }, values: (_, ticks) => ticks.map((v) => v == null ? "" : format(v)) },
      ],
      series: [
        { label: run.stepUnit, value: (_, v) => v == null ? "-" : v.toLocaleString("en-US") },
        ...chart.metrics.map((name, i) => ({
          label: name, stroke: colour(`line-${i}`), width: 1.5, spanGaps: true, value: (_, v) => format(v),
          points: { show: chart.x.length < 60 },
        })),
      ],
      hooks: {
        drawClear: [(u) => shade(u, run)],
        draw: [(u) => mark(u, run, chart)],
        setScale: [(u, key) => {
          const { min, max } = u.scales.x;
          if (key === "x" && min != null && u.status === 1) zoom(runIndex, min, max);
        }],
      },
    };
    box.textContent = "";
    entry.plot = new uPlot(options, [chart.x, ...chart.y], box);
    entry.plot.setScale("x", { min: range[0], max: range[1] });
    // uPlot's own double click shows only what this chart holds; all charts of a run show the same steps
    entry.plot.over.addEventListener("dblclick", () => zoomOut(runIndex));
  }

  function addChart(runIndex, chart, parent) {
    const figure = document.createElement("section");
    figure.className = "chart";
    figure.tabIndex = 0;
    figure.setAttribute("aria-label", `Plot of ${chart.title}. Arrow keys move, plus and minus zoom, 0 shows all steps.`);
    const header = document.createElement("header");
    const title = document.createElement("h3");
    title.textContent = chart.title;
    title.title = `in the log: ${chart.original}; ${chart.rows.toLocaleString("en-US")} values`;
    const button = document.createElement("button");
    button.type = "button";
    const box = document.createElement("div");
    header.append(title, button);
    figure.append(header, box);
    parent.append(figure);
    const entry = { run: data[runIndex], runIndex, chart, box, figure, log: startsLog(chart), plot: null };
    const label = () => { button.textContent = entry.log ? "log axis" : "linear axis"; };
    button.disabled = !allPositive(chart);
    button.title = button.disabled ? "A log axis needs positive values" : "Change between log and linear axis";
    button.addEventListener("click", () => { entry.log = !entry.log; label(); build(entry); });
    figure.addEventListener("keydown", (event) => onKey(event, runIndex));
    label();
    charts[runIndex].push(entry);
  }

  function onKey(event, runIndex) {
    const { min, max } = charts[runIndex][0].plot.scales.x;
    const part = (max - min) / 5;
    const moves = {
      ArrowLeft: [min - part, max - part], ArrowRight: [min + part, max + part],
      "+": [min + part, max - part], "-": [min - part, max + part],
    };
    if (event.target.tagName === "BUTTON" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "0" || event.key === "Escape") zoomOut(runIndex);
    else if (moves[event.key]) zoom(runIndex, ...moves[event.key]);
    else return;
    event.preventDefault();
  }

  // Charts of a hidden run have no width: they are drawn when their run is shown.
  function show(runIndex) {
    document.querySelectorAll(".run").forEach((section, i) => { section.hidden = runIndex !== null && i !== runIndex; });
    charts.forEach((entries, i) => {
      if (runIndex === null || i === runIndex) entries.filter((e) => !e.plot).forEach(build);
    });
  }

  function showFinding(button) {
    const runIndex = Number(button.dataset.run);
    const [first, last] = data[runIndex].steps;
    const from = Number(button.dataset.first), to = Number(button.dataset.last);
    const pad = Math.max((to - from) * 0.1, (last - first) * 0.01, 1);
    zoom(runIndex, Math.max(from - pad, first), Math.min(to + pad, last));
    const metrics = JSON.parse(button.dataset.metrics);
    const meant = charts[runIndex].filter((e) => e.chart.metrics.some((m) => metrics.includes(m)));
    for (const entry of charts[runIndex]) entry.figure.classList.toggle("meant", meant.includes(entry));
    const target = (meant[0] ?? charts[runIndex][0])?.figure;
    if (target) {
      target.scrollIntoView({ block: "center", behavior: "smooth" });
      target.focus({ preventScroll: true });
    }
  }

  async function copy(button) {
    const block = button.parentElement.querySelector("pre");
    try {
      await navigator.clipboard.writeText(block.textContent);
      button.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(block);
      button.textContent = "selected: press Ctrl+C";
    }
  }

  data.forEach((run, i) => {
    const parent = document.getElementById(`charts-${i}`);
    run.charts.forEach((chart) => addChart(i, chart, parent));
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-action]");
    if (!button) return;
    if (button.dataset.action === "finding") showFinding(button);
    if (button.dataset.action === "copy") copy(button);
    if (button.dataset.action === "zoom-out") {
      zoomOut(Number(button.dataset.run));
      document.querySelectorAll(".meant").forEach((figure) => figure.classList.remove("meant"));
    }
  });
  const select = document.getElementById("select-run");
  const chosen = () => select ? Number(select.value) : 0;
  if (select) select.addEventListener("change", () => show(chosen()));
  const redraw = () => charts.flat().filter((e) => e.plot).forEach(build);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      for (const e of charts.flat()) if (e.plot && e.box.clientWidth) e.plot.setSize({ width: e.box.clientWidth, height: 230 });
    }, 100);
  });
  addEventListener("beforeprint", () => show(null));
  addEventListener("afterprint", () => show(chosen()));
  show(chosen());
  window.vaelab = { charts };
})();
