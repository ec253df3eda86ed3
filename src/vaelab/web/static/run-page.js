// A page of parts and charts: one run, or several over each other. Only what has changed is replaced, so that a page that
// is being read does not move: open details stay open, the focus and a selection stay where they are.
import { PointLoader } from "./point-loader.js";

const FIRST_CHARTS = 12; // the rest is shown when asked for
const FOCUSABLE = "a, button, input, select, summary, [tabindex]";

export class RunPage {
  // address: gives the address of a chart's points without the range.
  constructor(article, key, address) {
    Object.assign(this, { article, key, address, parts: {}, set: null, loader: null, all: false });
    this.text = article.querySelector(".chart-filter input");
    this.text.addEventListener("input", () => this.#filter());
    this.text.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.text.value = "";
      this.#filter();
    });
    this.more = document.createElement("button");
    this.more.type = "button";
    this.more.addEventListener("click", () => { this.all = !this.all; this.#filter(); });
    article.querySelector(".main-charts").after(this.more);
    document.addEventListener("selectionchange", () => this.#replaceParts());
  }

  // Another run: nothing of the last one is kept.
  clear() {
    this.loader?.stop();
    this.set?.entries.forEach(({ plot }) => plot?.destroy());
    this.set = this.loader = null;
    this.all = false;
    this.text.value = "";
    for (const charts of this.article.querySelectorAll(".charts")) charts.textContent = "";
    this.parts = {};
    for (const section of this.article.querySelectorAll("[data-part]")) section.textContent = section.shown = "";
  }

  // content: {version, parts, axis, charts} as the server gives it.
  show({ version, parts, axis, charts }) {
    this.parts = parts;
    this.#replaceParts();
    this.article.querySelector(".main-charts").parentElement.hidden = !charts?.length;
    if (!charts) return;
    if (!this.set) {
      this.set = new ChartSet(this.article, this.key, axis);
      this.loader = new PointLoader(this.set, this.address);
    } else {
      this.set.setAxis(axis);
    }
    this.#showCharts(charts);
    this.loader.update(version);
  }

  click(button) {
    const { action, first, last, metrics } = button.dataset;
    if (action === "copy") copyBlock(button);
    else if (action === "finding") this.set?.showFinding(Number(first), Number(last), JSON.parse(metrics));
    else this.set?.command(action);
    this.loader?.refresh();
  }

  #showCharts(charts) {
    const name = (chart) => JSON.stringify([chart.metrics, chart.lines]);
    const known = new Map(this.set.entries.map((entry) => [name(entry.chart), entry]));
    for (const chart of charts) {
      const entry = known.get(name(chart));
      known.delete(name(chart));
      if (entry) {
        this.set.describe(entry, chart);
      } else {
        const added = this.set.add(chart);
        added.lines = (chart.lines ?? chart.metrics).length;
        this.loader.watch(added);
      }
    }
    for (const entry of known.values()) {
      this.loader.forget(entry);
      this.set.remove(entry);
    }
    this.#filter();
  }

  #filter() {
    const count = this.set?.entries.filter((entry) => entry.place === "main").length ?? 0;
    this.set?.filter(this.text.value, this.all ? Infinity : FIRST_CHARTS);
    this.loader?.refresh();
    this.more.hidden = count <= FIRST_CHARTS || this.text.value.trim() !== "";
    this.more.textContent = this.all ? `Show the first ${FIRST_CHARTS} plots only` : `Show all ${count} plots`;
  }

  // Buttons that go to the headings of the page, but for the small ones at its end: all fit into a row of a narrow window.
  showJumps() {
    const shown = () => [...this.article.querySelectorAll("h2:not(.unseen, [data-part=details] h2)")].filter((h) => h.checkVisibility());
    const headings = shown();
    const bar = this.article.querySelector(".jump");
    const names = headings.map((h) => h.textContent).join("\n");
    if (names === this.names) return;
    this.names = names;
    bar.replaceChildren(...headings.map((heading, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = heading.dataset.short ?? heading.textContent;
      button.addEventListener("click", () => {
        const target = shown()[i];
        target.tabIndex = -1;
        target.focus({ preventScroll: true });
        target.scrollIntoView({ block: "start" });
      });
      return button;
    }));
  }

  #replaceParts() {
    const selection = getSelection();
    for (const section of this.article.querySelectorAll("[data-part]")) {
      const html = this.parts[section.dataset.part] ?? "";
      if (html === (section.shown ?? "")) continue;
      // who is copying text is not disturbed; the part is replaced when the selection is gone
      if (!selection.isCollapsed && selection.rangeCount && selection.getRangeAt(0).intersectsNode(section)) continue;
      const open = [...section.querySelectorAll("details")].map((details) => details.open);
      const focused = [...section.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement);
      const first = section.shown === undefined || section.shown === "";
      section.innerHTML = html;
      section.shown = html;
      if (!first) section.querySelectorAll("details").forEach((details, i) => { details.open = open[i] ?? details.open; });
      if (focused >= 0) section.querySelectorAll(FOCUSABLE)[focused]?.focus({ preventScroll: true });
      section.dispatchEvent(new Event("replaced", { bubbles: true }));
    }
  }
}
