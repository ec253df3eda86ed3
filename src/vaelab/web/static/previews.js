// Previews of a run of vaelab: one step at a time, as picture or video, with a slider over the steps.

export class Previews {
  constructor(section) {
    this.section = section;
    this.steps = "";
    this.previews = [];
  }

  // previews: [{step, kinds}] in order. Who looks at the newest goes on to newer ones; who looks back stays there.
  show(runId, previews) {
    const steps = JSON.stringify([runId, previews]);
    if (steps === this.steps) return;
    const other = runId !== this.runId;
    const atNewest = other || !this.slider || Number(this.slider.value) === this.previews.length - 1;
    Object.assign(this, { steps, runId, previews });
    this.section.hidden = previews.length === 0;
    if (previews.length === 0) return;
    if (!this.slider) this.#build();
    this.slider.max = previews.length - 1;
    this.slider.disabled = previews.length === 1;
    if (atNewest) this.slider.value = previews.length - 1;
    if (other) this.kind.value = "png";
    this.#draw();
  }

  #build() {
    const make = (tag, parent, settings = {}) => Object.assign(parent.appendChild(document.createElement(tag)), settings);
    make("h2", this.section, { textContent: "Previews" });
    const tools = make("p", this.section, { className: "tools" });
    const label = make("label", tools, { textContent: "Step " });
    this.slider = make("input", label, { type: "range", min: 0, step: 1 });
    this.text = make("output", tools);
    const kind = make("label", tools, { textContent: "Show " });
    this.kind = make("select", kind);
    for (const [value, text] of [["png", "picture"], ["wipe", "original | reconstruction"], ["mp4", "video"]]) make("option", this.kind, { value, textContent: text });
    this.border = make("input", make("label", tools, { textContent: "Border ", hidden: true }), { type: "range", max: 1000, value: 500 });
    this.link = make("a", tools, { textContent: "Open alone", target: "_blank", rel: "noopener" });
    const frame = make("div", this.section, { className: "scroll", tabIndex: 0 });
    frame.setAttribute("role", "region");
    frame.setAttribute("aria-label", "Preview: original, reconstruction and error");
    this.image = make("img", frame, { className: "preview" });
    this.image.addEventListener("load", () => this.#drawWipe());
    this.canvas = make("canvas", frame, { className: "preview" });
    this.canvas.setAttribute("role", "img");
    this.video = make("video", frame, { className: "preview", controls: true, loop: true, muted: true, playsInline: true });
    this.slider.addEventListener("input", () => this.#draw());
    this.kind.addEventListener("change", () => this.#draw());
  }

  #draw() {
    const { step, kinds } = this.previews[Number(this.slider.value)];
    const video = this.kind.value === "mp4" && kinds.includes("mp4"), both = this.kind.value === "wipe";
    const address = `runs/${this.runId}/previews/${step}.${video ? "mp4" : "png"}`;
    this.text.textContent = `${step.toLocaleString("en-US")} (${Number(this.slider.value) + 1} of ${this.previews.length})`;
    this.slider.setAttribute("aria-valuetext", `step ${step}`);
    this.kind.querySelector("[value=mp4]").hidden = !kinds.includes("mp4");
    this.link.href = address;
    this.image.hidden = video || both;
    this.canvas.hidden = this.border.parentElement.hidden = !both;
    this.video.hidden = !video;
    if (video) {
      this.video.src = address;
      this.video.play().catch(() => {}); // a browser may ask for a click first
    } else {
      this.video.removeAttribute("src");
      this.image.src = address;
      this.image.alt = `Original, reconstruction and error at step ${step}`;
      this.canvas.setAttribute("aria-label", `Original and reconstruction at step ${step}, with a border between them`);
    }
  }

  // Original and reconstruction over each other, of all samples. Where these lie is written in the picture's file.
  async #drawWipe() {
    const { src } = this.image;
    const head = (await (await fetch(src)).blob()).slice(0, 4096);
    const found = /tEXttiles\0(\{[^}]*\})/.exec(await head.text());
    this.kind.querySelector("[value=wipe]").hidden = !found;
    if (!found || this.image.src !== src) return;
    const { width, height, cell, lefts, tops } = JSON.parse(found[1]), gap = 4;
    Object.assign(this.canvas, { width: lefts.length * (width + gap) - gap, height: tops.length * (height + gap) - gap });
    wipe(this.canvas, this.border, this.image, { width, height, gap }, () => tops.flatMap((top, row) => lefts.map(
      (left, column) => ({ left, right: left + cell, top, x: column * (width + gap), y: row * (height + gap) }))))();
  }
}
