"use strict";
/* The bar's menus close when something else is chosen, and the colours can be picked. Without a script they open too. */
document.addEventListener("DOMContentLoaded", () => {
  const menus = [...document.querySelectorAll("details.drop")];
  document.addEventListener("click", (event) => {
    for (const menu of menus) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && menus.find((menu) => menu.open);
    if (!open) return;
    open.open = false;
    open.querySelector("summary").focus();
  });
  const kept = () => { try { return JSON.parse(localStorage.getItem("adminTheme")) || "auto"; } catch { return "auto"; } };
  for (const themes of document.querySelectorAll(".themes")) {
    const buttons = [...themes.querySelectorAll("button")];
    const mark = () => buttons.forEach((one) => one.setAttribute("aria-pressed", String(one.dataset.theme === kept())));
    themes.hidden = false;
    mark();
    themes.addEventListener("click", ({ target }) => {
      if (!target.dataset.theme) return;
      localStorage.setItem("adminTheme", JSON.stringify(target.dataset.theme));
      dispatchEvent(new StorageEvent("storage", { key: "adminTheme" }));
      mark();
    });
  }
});
