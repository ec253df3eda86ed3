"use strict";
// Two pictures of one canvas over each other, with a border that is dragged. A video plays on both sides in step.
(() => {
  const shown = JSON.parse(document.getElementById("data").textContent);
  document.querySelectorAll(".slider").forEach((section, i) => {
    const { file, video, top, width, height, pictures } = shown[i];
    const canvas = section.querySelector("canvas"), ctx = canvas.getContext("2d");
    const [left, right, border] = [".left", ".right", "input[type=range]"].map((s) => section.querySelector(s));
    const source = document.createElement(video ? "video" : "img");
    const draw = () => {
      const at = Math.round(width * border.value / border.max);
      const part = (choice, from, to) => {
        if (to > from) ctx.drawImage(source, pictures[choice.value].left + from, top, to - from, height, from, 0, to - from, height);
      };
      part(left, 0, at);
      part(right, at, width);
      ctx.fillStyle = "#fff";
      ctx.fillRect(at - 1, 0, 2, height);
      ctx.fillStyle = "#000";
      ctx.fillRect(at + 1, 0, 1, height);
    };
    const again = () => { draw(); if (video && !source.paused) requestAnimationFrame(again); };
    for (const control of [left, right, border]) control.addEventListener("input", draw);
    const drag = (event) => {
      if (event.type === "pointermove" && !event.buttons) return;
      const box = canvas.getBoundingClientRect();
      border.value = border.max * (event.clientX - box.left) / box.width;
      draw();
    };
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); drag(event); });
    canvas.addEventListener("pointermove", drag);
    if (video) {
      Object.assign(source, { muted: true, loop: true, playsInline: true, preload: "auto" });
      const button = section.querySelector(".tools").appendChild(Object.assign(document.createElement("button"), { type: "button", textContent: "Play" }));
      button.addEventListener("click", () => { if (source.paused) source.play(); else source.pause(); });
      source.addEventListener("play", () => { button.textContent = "Pause"; again(); });
      source.addEventListener("pause", () => { button.textContent = "Play"; });
    }
    // a video has a picture to draw only once it was sought
    if (video) source.addEventListener("loadeddata", () => { source.currentTime = 0.001; });
    source.addEventListener(video ? "seeked" : "load", () => { draw(); section.dataset.drawn = "yes"; });
    source.src = file;
  });
})();
