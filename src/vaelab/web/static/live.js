// The live page: what is shown follows the address (#run=ID, #compare=ID,ID) and the state that the server sends.
import { follow, getJson } from "./feed.js";
import { Previews } from "./previews.js";
import { RunList } from "./run-list.js";
import { RunPage } from "./run-page.js";

const RETRY = 2000; // milliseconds
const WORST_FIRST = ["stop", "act", "watch", "cannot-tell", "healthy"];
const byId = (id) => document.getElementById(id);
const query = (ids) => ids.map((id) => `run=${encodeURIComponent(id)}`).join("&");
const compareQuery = (ids) => `${query(ids)}&over=${byId("over").value}`;
const metricQuery = (metrics) => metrics.map((m) => `metric=${encodeURIComponent(m)}`).join("&");

let state = null, ahead = 0; // ahead: milliseconds by which this clock is ahead of the server's
let shown = { ids: [], version: "" }; // what the page holds
let loading = null;

const list = new RunList((ids) => { location.hash = `compare=${ids.join(",")}`; });
const previews = new Previews(byId("previews"));
const pages = {
  run: new RunPage(byId("run"), "run", (chart) => `runs/${shown.ids[0]}/points?${metricQuery(chart.metrics)}`),
  compare: new RunPage(byId("compare"), "compare", (chart) => `compare/points?${compareQuery(shown.ids)}&${metricQuery(chart.metrics)}`),
};
const current = () => shown.ids.length > 1 ? pages.compare : pages.run;

function wanted() {
  const [, kind, text] = /^#(run|compare)=(.*)$/.exec(location.hash) ?? [];
  const known = state.runs.map((run) => run.id);
  const ids = (text ?? "").split(",").filter((id) => known.includes(id));
  if (kind === "compare" && ids.length > 1) return ids;
  if (ids.length) return [ids[0]];
  const worst = [...state.runs].sort((a, b) => WORST_FIRST.indexOf(a.status) - WORST_FIRST.indexOf(b.status))[0];
  return worst ? [shown.ids.find((id) => shown.ids.length === 1 && known.includes(id)) ?? worst.id] : [];
}

function duration(seconds) {
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  return `${Math.max(Math.floor(seconds), 0)} s`;
}

function age(run) {
  if (run.finished) return "finished";
  const text = duration((Date.now() - ahead) / 1000 - run.rowAt);
  return run.stalled ? `stands still: last row ${text} ago` : `last row ${text} ago`;
}

// Ages grow without news from the server.
function showTimes() {
  if (!state) return;
  list.update(state.runs, shown.ids, age);
  for (const element of document.querySelectorAll("[data-age]")) {
    const run = state.runs.find((r) => r.id === shown.ids[0]);
    element.textContent = run ? `${age(run)[0].toUpperCase()}${age(run).slice(1)}.` : "";
  }
  for (const element of document.querySelectorAll("[data-time]")) {
    element.textContent = new Date(Number(element.dataset.time) * 1000).toLocaleString();
  }
}

function showStatus() {
  const runs = shown.ids.map((id) => state.runs.find((run) => run.id === id)).filter(Boolean);
  const text = runs.length === 1 ? `${runs[0].status}: ${runs[0].name}` : runs.length ? `${runs.length} runs` : "waiting";
  document.title = `${text} - vaelab`;
  if (runs.length === 1 && runs[0].status !== showStatus.last) {
    showStatus.last = runs[0].status;
    byId("announcement").textContent = `${runs[0].name}: ${runs[0].status}. ${runs[0].headline}`;
  }
  const colour = runs.length === 1 ? cssColour({ stop: "bad", act: "bad", watch: "watch", healthy: "good" }[runs[0].status] ?? "info") : cssColour("link");
  document.querySelector("link[rel=icon]").href =
    `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="${colour}"/></svg>`)}`;
}

function showWaiting(text) {
  byId("waiting").hidden = !text;
  byId("waiting").textContent = text;
}

function showLeftOut(names) {
  const lacks = { seconds: "the time of a step", samples: "the batch size" }[byId("over").value];
  byId("left-out").textContent = names.length ? `Not drawn: ${names.join(", ")} (the log does not tell ${lacks}).` : "";
}

// Bring the page to the newest state of what the address asks for.
async function refresh() {
  if (!state) return;
  const ids = wanted();
  const version = ids.map((id) => state.runs.find((run) => run.id === id).version).join(" ");
  const other = ids.join() !== shown.ids.join();
  if (other) {
    loading?.abort();
    current().clear();
    shown = { ids, version: "" };
    pages.run.article.hidden = pages.compare.article.hidden = true;
    showStatus.last = null;
    if (ids.length > 1) list.mark(ids);
    showWaiting(ids.length ? "Loading ..." : state.problem ?? `Waiting for a log in ${state.paths.join(", ")} ...`);
  }
  showTimes();
  showStatus();
  if (document.hidden || !ids.length || version === shown.version || (loading && !other)) return;
  loading = new AbortController();
  const { signal } = loading;
  try {
    const content = await getJson(ids.length > 1 ? `compare?${compareQuery(ids)}` : `runs/${encodeURIComponent(ids[0])}`, signal);
    if (signal.aborted) return;
    shown.version = version;
    showWaiting(state.problem ?? "");
    current().article.hidden = false;
    current().show({ ...content, version });
    if (ids.length > 1) showLeftOut(content.leftOut);
    if (ids.length === 1) previews.show(ids[0], content.previews);
    current().showJumps();
    loading = null;
    refresh(); // a newer state may have come meanwhile
  } catch (error) {
    if (signal.aborted) return;
    if (!shown.version) showWaiting(error.message);
    loading = null;
    setTimeout(refresh, RETRY);
  }
}

follow((newest) => {
  state = newest;
  ahead = Date.now() - 1000 * newest.now;
  refresh();
}, (connected) => {
  byId("connection").textContent = connected ? "live" : "The server does not answer; trying again. If it was started anew, open the address that it printed.";
  byId("connection").classList.toggle("bad", !connected);
});

addEventListener("hashchange", () => { refresh(); scrollTo(0, 0); });
document.addEventListener("visibilitychange", () => { refresh(); current().loader?.refresh(); });
document.addEventListener("replaced", showTimes);
// the address names the run, so this link must not change it
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); byId("content").focus(); });
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (button) current().click(button);
});
byId("over").addEventListener("change", () => {
  loading?.abort();
  loading = null;
  pages.compare.clear();
  shown.version = "";
  refresh();
});
byId("theme").value = theme.get();
byId("theme").addEventListener("change", (event) => theme.set(event.target.value));
const redraw = () => { for (const page of Object.values(pages)) page.set?.redraw(); if (state) showStatus(); };
byId("theme").addEventListener("change", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
printWhole(redraw);
setInterval(showTimes, 5000);
globalThis.vaelab = { pages, list, get state() { return state; }, get shown() { return shown; } };
