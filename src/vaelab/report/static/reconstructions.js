"use strict";
// The page of reconstructions: of each file two pictures over each other. A video plays on both sides in step.
(() => {
  const shown = JSON.parse(document.getElementById("data").textContent);
  document.querySelectorAll(".slider").forEach((section, i) => {
    const { file, video, top, width, height, pictures } = shown[i];
    const [left, right, border] = [".left", ".right", "input[type=range]"].map((s) => section.querySelector(s));
    const source = document.createElement(video ? "video" : "img");
    const draw = wipe(section.querySelector("canvas"), border, source, { width, height },
      () => [{ left: pictures[left.value].left, right: pictures[right.value].left, top, x: 0, y: 0 }]);
    const again = () => { draw(); if (!source.paused) requestAnimationFrame(again); };
    for (const choice of [left, right]) choice.addEventListener("input", draw);
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
