// The list of runs: status, name and age of each, filters, pages, marks for a comparison. Only the runs of one page are in the DOM.

const MOST_MARKED = 12; // as many as the server compares
const PAGE = 50;
const WORST_FIRST = ["stop", "act", "watch", "cannot-tell", "healthy"];

export class RunList {
  // onCompare: called with the ids of the marked runs.
  constructor(onCompare) {
    this.items = new Map();
    this.runs = [];
    this.ids = new Set();
    this.page = 0;
    this.list = document.getElementById("run-list");
    this.text = document.getElementById("run-filter");
    this.status = document.getElementById("status-filter");
    this.button = document.getElementById("compare-button");
    this.pages = document.getElementById("run-pages");
    this.text.addEventListener("input", settled(() => this.filter(), 100));
    this.status.addEventListener("change", () => this.filter());
    [-1, 1].forEach((move, i) => this.pages.querySelectorAll("button")[i].addEventListener("click", () => { this.page += move; this.#show(); }));
    this.text.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.text.value = "";
      this.filter();
    });
    this.button.addEventListener("click", () => onCompare(this.marked));
    this.list.addEventListener("keydown", (event) => this.#onKey(event));
    this.list.addEventListener("change", ({ target }) => {
      if (target.checked) this.ids.add(target.value);
      else this.ids.delete(target.value);
      this.#showMarked();
    });
    // on a phone the list would push the run off the screen
    const narrow = matchMedia("(max-width: 800px)"), details = this.list.closest("details");
    details.open = !narrow.matches;
    this.list.addEventListener("click", (event) => { if (narrow.matches && event.target.closest("a")) details.open = false; });
  }

  get marked() {
    return this.runs.filter((run) => this.ids.has(run.id)).map((run) => run.id);
  }

  mark(ids) {
    this.ids = new Set(ids);
    this.#show();
    this.#showMarked();
  }

  update(runs, shown, age) {
    // beyond one page the worst come first, else they stand in the order of the logs
    const place = (run) => WORST_FIRST.indexOf(run.status);
    Object.assign(this, { runs: runs.length > PAGE ? [...runs].sort((a, b) => place(a) - place(b)) : runs, shown, age });
    document.getElementById("runs").hidden = runs.length < 2;
    document.getElementById("runs-title").textContent = `${runs.length.toLocaleString("en-US")} runs`;
    this.#show();
    this.#showMarked();
  }

  filter() {
    this.page = 0;
    this.#show();
  }

  #show() {
    const text = this.text.value.trim().toLowerCase();
    const fitting = this.runs.filter((run) => run.name.toLowerCase().includes(text) && (!this.status.value || run.status === this.status.value));
    const pages = Math.max(Math.ceil(fitting.length / PAGE), 1);
    this.page = Math.min(this.page, pages - 1);
    const runs = fitting.slice(PAGE * this.page, PAGE * (this.page + 1)), ids = runs.map((run) => run.id);
    if (ids.join() !== [...this.items.keys()].join()) {
      const old = this.items;
      this.items = new Map(runs.map((run) => [run.id, old.get(run.id) ?? this.#item(run)]));
      this.list.replaceChildren(...[...this.items.values()].map(({ item }) => item));
    }
    for (const run of runs) this.#describe(run, this.items.get(run.id));
    document.getElementById("no-run").hidden = fitting.length > 0;
    this.pages.hidden = pages < 2;
    const [previous, next] = this.pages.querySelectorAll("button");
    [previous.disabled, next.disabled] = [this.page === 0, this.page === pages - 1];
    this.pages.querySelector("span").textContent = `${this.page + 1} of ${pages}`;
  }

  #describe(run, { status, name, text, link, box }) {
    status.textContent = run.status;
    status.className = `status ${run.status}`;
    name.textContent = run.name;
    text.textContent = run.problem ?? (run.step == null ? "no row yet" : `${run.stepUnit} ${formatStep(run.step)}, ${this.age(run)}`);
    link.title = run.headline || run.name;
    box.setAttribute("aria-label", `Mark ${run.name} for a comparison`);
    box.checked = this.ids.has(run.id);
    if (this.shown.includes(run.id)) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }

  #item(run) {
    const make = (tag, parent) => parent.appendChild(document.createElement(tag));
    const item = document.createElement("li");
    const box = Object.assign(make("input", item), { type: "checkbox", value: run.id });
    const link = make("a", item);
    link.href = `#run=${run.id}`;
    return { item, box, link, status: make("span", link), name: make("b", link), text: make("small", link) };
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
    const links = [...this.list.querySelectorAll("a")];
    const at = links.findIndex((link) => link.parentElement.contains(document.activeElement));
    links[Math.min(Math.max(at + move, 0), links.length - 1)]?.focus();
    event.preventDefault();
  }
}
