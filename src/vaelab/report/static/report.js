"use strict";
// The report: charts of every run from the points in the page, one run shown at a time.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const articles = [...document.querySelectorAll(".run")];
  const sets = data.map((run, i) => {
    const set = new ChartSet(articles[i], `run-${i}`, run);
    run.charts.forEach((chart) => set.add(chart));
    articles[i].querySelector(".chart-filter input").addEventListener("input", (event) => set.filter(event.target.value));
    return set;
  });

  // All runs for printing (null), else one.
  function show(index) {
    articles.forEach((article, i) => { article.hidden = index !== null && i !== index; });
    sets.forEach((set, i) => { if (!articles[i].hidden) set.draw(); });
  }

  const select = document.getElementById("select-run");
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-action]");
    if (!button) return;
    const { action, first, last, metrics, run } = button.dataset;
    if (action === "copy") return copyBlock(button);
    if (action === "show") {
      select.value = run;
      show(Number(run));
      articles[run].scrollIntoView({ block: "start" });
      return;
    }
    const set = sets[articles.indexOf(button.closest(".run"))];
    if (action === "finding") set.showFinding(Number(first), Number(last), JSON.parse(metrics));
    else set.command(action);
  });
  const chosen = () => select ? Number(select.value) : 0;
  select?.addEventListener("change", () => show(chosen()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => sets.forEach((set) => set.redraw()));
  printWhole((on) => {
    show(on ? null : chosen());
    sets.forEach((set) => set.redraw());
  });
  show(chosen());
  window.vaelab = { charts: sets.map((set) => set.entries) };
})();
