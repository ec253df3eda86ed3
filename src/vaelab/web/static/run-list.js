// The list of runs: status, name and age of each, filters, marks for a comparison.

const MOST_MARKED = 12; // as many as the server compares

export class RunList {
  // onCompare: called with the ids of the marked runs.
  constructor(onCompare) {
    this.items = new Map();
    this.runs = [];
    this.list = document.getElementById("run-list");
    this.text = document.getElementById("run-filter");
    this.status = document.getElementById("status-filter");
    this.button = document.getElementById("compare-button");
    this.text.addEventListener("input", () => this.filter());
    this.status.addEventListener("change", () => this.filter());
    this.text.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.text.value = "";
      this.filter();
    });
    this.button.addEventListener("click", () => onCompare(this.marked));
    this.list.addEventListener("keydown", (event) => this.#onKey(event));
    this.list.addEventListener("change", () => this.#showMarked());
    // on a phone the list would push the run off the screen
    const narrow = matchMedia("(max-width: 800px)"), details = this.list.closest("details");
    details.open = !narrow.matches;
    this.list.addEventListener("click", (event) => { if (narrow.matches && event.target.closest("a")) details.open = false; });
  }

  get marked() {
    return this.runs.filter((run) => this.items.get(run.id).box.checked).map((run) => run.id);
  }

  mark(ids) {
    for (const [id, { box }] of this.items) box.checked = ids.includes(id);
    this.#showMarked();
  }

  update(runs, shown, age) {
    this.runs = runs;
    document.getElementById("runs").hidden = runs.length < 2;
    document.getElementById("runs-title").textContent = `${runs.length} runs`;
    const ids = new Set(runs.map((run) => run.id));
    for (const [id, { item }] of this.items) if (!ids.has(id)) { item.remove(); this.items.delete(id); }
    for (const run of runs) {
      const parts = this.items.get(run.id) ?? this.#add(run);
      parts.status.textContent = run.status;
      parts.status.className = `status ${run.status}`;
      parts.name.textContent = run.name;
      parts.text.textContent = run.problem ?? (run.step == null ? "no row yet" : `${run.stepUnit} ${formatStep(run.step)}, ${age(run)}`);
      parts.link.title = run.headline || run.name;
      parts.box.setAttribute("aria-label", `Mark ${run.name} for a comparison`);
      if (shown.includes(run.id)) parts.link.setAttribute("aria-current", "true");
      else parts.link.removeAttribute("aria-current");
    }
    this.filter();
    this.#showMarked();
  }

  filter() {
    const text = this.text.value.trim().toLowerCase();
    let left = 0;
    for (const run of this.runs) {
      const fits = run.name.toLowerCase().includes(text) && (!this.status.value || run.status === this.status.value);
      this.items.get(run.id).item.hidden = !fits;
      left += fits;
    }
    document.getElementById("no-run").hidden = left > 0;
  }

  #add(run) {
    const make = (tag, parent) => parent.appendChild(document.createElement(tag));
    const item = make("li", this.list);
    const box = make("input", item);
    box.type = "checkbox";
    const link = make("a", item);
    link.href = `#run=${run.id}`;
    const parts = { item, box, link, status: make("span", link), name: make("b", link), text: make("small", link) };
    this.items.set(run.id, parts);
    return parts;
  }

  #showMarked() {
    const count = this.marked.length;
    this.button.disabled = count < 2 || count > MOST_MARKED;
    this.button.textContent = count > MOST_MARKED ? `Compare at most ${MOST_MARKED} runs` : `Compare marked runs (${count})`;
  }

  // Up and down go through the runs that are listed.
  #onKey(event) {
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!move) return;
    const links = [...this.list.querySelectorAll("li:not([hidden]) a")];
    const at = links.findIndex((link) => link.parentElement.contains(document.activeElement));
    links[Math.min(Math.max(at + move, 0), links.length - 1)]?.focus();
    event.preventDefault();
  }
}
