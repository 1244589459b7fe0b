"use strict";
/* Light, dark or as the system has it: one choice for every page, kept where the control room's own switch keeps it. */
(() => {
  const KEY = "adminTheme";
  const kept = () => { try { return JSON.parse(localStorage.getItem(KEY)) || "auto"; } catch { return "auto"; } };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => {
    const theme = kept();
    const root = document.documentElement.classList;
    root.toggle("dark", theme === "dark" || (theme === "auto" && system.matches));
    root.toggle("light", theme === "light");
  };
  paint();
  system.addEventListener("change", paint);
  addEventListener("storage", (event) => { if (event.key === KEY) paint(); });
})();
