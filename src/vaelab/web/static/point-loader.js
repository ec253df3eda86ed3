// Asks the server for the points of the charts that are on the screen: of the steps shown, as many as the plot has room for.
import { getJson } from "./feed.js";

const TOGETHER = 4; // requests at a time
const POINTS_PER_PIXEL = 2; // the lowest and the highest value of every column of pixels

export class PointLoader {
  // address: gives the address of a chart's points without the range.
  constructor(set, address) {
    Object.assign(this, { set, address, version: "", visible: new Set(), running: 0 });
    set.onRange = settled(() => this.refresh(), 120);
    this.observer = new IntersectionObserver((changes) => {
      for (const { target, isIntersecting } of changes) {
        const entry = set.entries.find((e) => e.figure === target);
        if (entry && isIntersecting) this.visible.add(entry);
        else this.visible.delete(entry);
      }
      this.refresh();
    }, { rootMargin: "300px" });
  }

  watch(entry) {
    this.observer.observe(entry.figure);
  }

  forget(entry) {
    this.observer.unobserve(entry.figure);
    this.visible.delete(entry);
  }

  // Load what is on the screen and not of this version, range and width.
  refresh() {
    if (document.hidden) return;
    for (const entry of this.set.entries) {
      if (this.running >= TOGETHER) return;
      if (!this.visible.has(entry) || entry.figure.hidden) continue;
      const query = this.#query(entry);
      const key = `${this.version} ${query}`;
      if (entry.loaded === key || entry.loading === key) continue;
      this.#load(entry, key, query);
    }
  }

  #query(entry) {
    const [first, last] = this.set.range;
    const limit = POINTS_PER_PIXEL * Math.max(entry.box.clientWidth, 200) * entry.lines;
    return `${this.address(entry.chart)}&first=${first}&last=${last}&limit=${limit}`;
  }

  async #load(entry, key, query) {
    entry.loading = key;
    this.running += 1;
    try {
      const points = await getJson(query);
      // of two answers that overtake each other the one asked for last counts
      if (entry.loading === key) {
        entry.loaded = key;
        this.set.setPoints(entry, points);
      }
    } catch {
      // the connection line says that the server is gone; the next state asks again
      if (entry.loading === key) entry.failed = key;
    } finally {
      if (entry.loading === key && entry.failed !== key) entry.loading = null;
      this.running -= 1;
      this.refresh();
    }
  }

  // A new state: what has failed may be asked for again.
  update(version) {
    this.version = version;
    for (const entry of this.set.entries) entry.loading = entry.failed = null;
    this.refresh();
  }
}
