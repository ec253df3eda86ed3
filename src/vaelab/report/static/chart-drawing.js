// What is drawn in a plot beside its curves, and how its numbers and axes read.

// A canvas knows no CSS variables: read them.
const cssColour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// Hours are no whole numbers.
const formatStep = (v) => v == null ? "-" : v.toLocaleString("en-US", { maximumFractionDigits: v < 100 ? 2 : 0 });

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

// Round numbers on a log axis: the more decades it spans, the fewer.
function logSplits(min, max) {
  const decades = Math.log10(max / min);
  const parts = decades > 3 ? [1] : decades > 1 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 7];
  const every = Math.max(1, Math.ceil(decades / 8)), marks = [];
  for (let power = Math.floor(Math.log10(min)); power <= Math.log10(max); power += 1) {
    if (power % every) continue;
    marks.push(...parts.map((part) => Number((part * 10 ** power).toPrecision(12))).filter((v) => v >= min && v <= max));
  }
  return marks.length ? marks : [min, max];
}

// Room for the longest number, and for most charts the same.
const axisSize = (_, texts) => Math.max(62, 16 + 7.5 * Math.max(0, ...(texts ?? []).map((text) => (text ?? "").length)));

// A level far from the curve would flatten it: it is not drawn.
const nearLevels = (levels, low, high) => levels.filter(({ value }) => low > 0 && value > 0
  ? value >= low / 10 && value <= high * 10 : value >= low - 2 * (high - low) && value <= high + 2 * (high - low));

// The ends of a y axis that shows the curve and the levels near it. A flat curve lies in the middle.
function valueRange(low, high, levels, log) {
  if (low == null) return log ? [1, 10] : [0, 1];
  for (const { value } of nearLevels(levels, low, high)) { low = Math.min(low, value); high = Math.max(high, value); }
  if (log) return low === high ? [low / 2, high * 2] : [low / (high / low) ** 0.06, high * (high / low) ** 0.08];
  return low === high ? [low - (Math.abs(low) || 1) / 10, high + (Math.abs(high) || 1) / 10]
    : uPlot.rangeNum(low, high, 0.1, true);
}

// The log's unit and the natural one, and back.
const toNatural = ({ kind, constant }, v) => kind === "db" ? constant - 10 * Math.log10(v) : constant * v;
const fromNatural = ({ kind, constant }, v) => kind === "db" ? 10 ** ((constant - v) / 10) : v / constant;

// Places of round numbers of the natural unit, in the log's own unit.
function naturalSplits(natural, { min, max, distr }) {
  const ends = [toNatural(natural, min), toNatural(natural, max)].sort((a, b) => a - b);
  const marks = [];
  if (natural.kind === "ratio" && distr === 3) {
    marks.push(...logSplits(...ends));
  } else {
    const rough = (ends[1] - ends[0]) / 4, size = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * size).find((n) => n >= rough);
    for (let v = Math.ceil(ends[0] / step) * step; v <= ends[1]; v += step) marks.push(Number(v.toPrecision(12)));
  }
  return marks.map((v) => fromNatural(natural, v)).filter((v) => v >= min && v <= max).sort((a, b) => a - b);
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

// Thin slanted lines, which are seen without colours too.
function hatch(ctx, left, top, width, height) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  ctx.globalAlpha = 0.3;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([]);
  ctx.beginPath();
  for (let x = left - height; x < left + width; x += 9 * devicePixelRatio) {
    ctx.moveTo(x, top + height);
    ctx.lineTo(x + height, top);
  }
  ctx.stroke();
  ctx.restore();
}

// Where the line of a level begins, in pixels.
const startOf = (u, { since }) => since == null ? u.bbox.left : Math.max(u.valToPos(since, "x", true), u.bbox.left);

// Below the curves: phases, the side of a level that means trouble, the steps of the finding.
const shade = (u, phases, chart, levels) => inPlot(u, (ctx, { left, top, width, height }) => {
  ctx.globalAlpha = Number(cssColour("shade"));
  for (const phase of phases) {
    const from = u.valToPos(phase.first, "x", true), to = u.valToPos(phase.last, "x", true);
    ctx.fillStyle = cssColour(`phase-${phase.kind}`);
    ctx.fillRect(from, top, to - from, height);
  }
  ctx.fillStyle = ctx.strokeStyle = cssColour("bad");
  for (const level of levels.filter(({ bad }) => bad)) {
    const y = u.valToPos(level.value, "y", true), from = startOf(u, level), below = level.bad === "below";
    hatch(ctx, from, below ? y : top, left + width - from, below ? top + height - y : y - top);
  }
  ctx.globalAlpha = 0.1;
  if (!chart.shade) return;
  const [from, to] = chart.shade.map((step) => u.valToPos(step, "x", true));
  ctx.fillRect(from, top, to - from, height);
  // a bar at the bottom says the same to who sees no colours
  ctx.globalAlpha = 1;
  ctx.fillRect(from, top + height - 4 * devicePixelRatio, to - from, 4 * devicePixelRatio);
});

// Text that stands out of the curve behind it.
function label(ctx, text, x, y, ratio) {
  ctx.lineWidth = 3 * ratio;
  ctx.setLineDash([]);
  ctx.strokeStyle = cssColour("panel");
  ctx.strokeText(text, x, y);
  ctx.fillText(text, x, y);
}

// Over the curves: events, levels, steps without a number.
const drawMarks = (u, markers, chart, levels) => inPlot(u, (ctx, { left, top, width, height }, ratio) => {
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  ctx.textAlign = "left";
  ctx.textBaseline = "alphabetic";
  ctx.fillStyle = cssColour("mark");
  const line = (dash, ...points) => {
    ctx.lineWidth = ratio;
    ctx.strokeStyle = cssColour("mark");
    ctx.setLineDash(dash.map((n) => n * ratio));
    ctx.beginPath();
    ctx.moveTo(points[0], points[1]);
    ctx.lineTo(points[2], points[3]);
    ctx.stroke();
  };
  let lastLabel = -Infinity;
  for (const marker of markers) {
    const x = u.valToPos(marker.step, "x", true);
    line([5, 4], x, top, x, top + height);
    const size = ctx.measureText(marker.label).width;
    const at = Math.min(x + 3 * ratio, left + width - size);
    if (x >= left && x <= left + width && at > lastLabel) {
      label(ctx, marker.label, at, top + 11 * ratio, ratio);
      lastLabel = at + size + 6 * ratio;
    }
  }
  for (const level of levels) {
    const text = level.label, y = u.valToPos(level.value, "y", true), size = ctx.measureText(text).width;
    line([2, 3], startOf(u, level), y, left + width, y);
    // above the line, or below it where no room is left above
    label(ctx, text, left + width - size - 4 * ratio, y < top + 28 * ratio ? y + 13 * ratio : y - 4 * ratio, ratio);
  }
  ctx.fillStyle = cssColour("bad");
  for (const step of chart.notFinite) ctx.fillText("x", u.valToPos(step, "x", true) - 3 * ratio, top + height - 4 * ratio);
});

// Two plots stand beside each other on a sheet of A4 or Letter, however wide the window is. 0: not shown.
const PAPER_WIDTH = 335;
const onPaper = () => document.documentElement.classList.contains("paper");
const plotWidth = (box) => box.clientWidth && (onPaper() ? PAPER_WIDTH : Math.max(box.clientWidth, 200));

// Printed is what is folded too, but for the reference at the end, in the colours of the light scheme. draw: called before and after.
function printWhole(draw) {
  let folded = [];
  const print = (on) => {
    document.documentElement.classList.toggle("paper", on);
    if (on) folded = [...document.querySelectorAll("details:not([open], .run .more)")];
    for (const details of folded) details.open = on;
    draw(on);
  };
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
}

// Calls a function once, a moment after the last of many calls.
function settled(call, milliseconds) {
  let waiting = 0;
  return () => { clearTimeout(waiting); waiting = setTimeout(call, milliseconds); };
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
