"use strict";
// Light, dark or as the system: applied before the page is drawn, and remembered by this browser.
const theme = {
  get: () => { try { return localStorage.getItem("vaelab-theme") ?? "auto"; } catch { return "auto"; } },
  set: (name) => {
    try { localStorage.setItem("vaelab-theme", name); } catch { /* a browser that keeps nothing */ }
    theme.apply();
  },
  apply: () => {
    const media = { light: "not all", dark: "screen", auto: "screen and (prefers-color-scheme: dark)" };
    document.getElementById("dark").media = media[theme.get()] ?? media.auto;
  },
};
theme.apply();
