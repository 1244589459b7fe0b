"use strict";
/* The palette: `/` or Ctrl-K, a few letters, arrows and Enter. What it offers is asked of the portal, which knows what
   this person may do. A combobox with a list, as the ARIA patterns describe it. */
document.addEventListener("DOMContentLoaded", () => {
  const opener = document.querySelector("[data-palette]");
  if (!opener) return;
  opener.closest("li").hidden = false;

  const make = (tag, attributes, ...inside) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...inside);
    return node;
  };
  const input = make("input", {
    type: "text", role: "combobox", "aria-label": "Go to or do", "aria-expanded": "true", "aria-controls": "palette-list",
    "aria-autocomplete": "list", autocomplete: "off", spellcheck: "false", placeholder: "Page, server, #deployment, release, action",
  });
  const list = make("ul", { role: "listbox", id: "palette-list", "aria-label": "What was found" });
  const state = make("p", { role: "status" });
  const dialog = make("dialog", { class: "palette", "aria-label": "Go to or do" }, input, list, state);
  document.body.append(dialog);

  let chosen = 0;
  let asked = null;
  let timer = 0;

  function choose(index) {
    const options = [...list.children];
    chosen = options.length ? (index + options.length) % options.length : 0;
    options.forEach((option, place) => option.setAttribute("aria-selected", String(place === chosen)));
    if (options.length) {
      input.setAttribute("aria-activedescendant", options[chosen].id);
      options[chosen].scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  }

  function show(entries) {
    list.replaceChildren(...entries.map((entry, index) => make(
      "li", { role: "option", id: `palette-${index}`, "data-link": entry.link },
      make("span", {}, entry.title), " ", make("span", { class: "kind" }, entry.kind),
    )));
    list.hidden = entries.length === 0;
    state.textContent = entries.length ? "" : "Nothing of that name.";
    choose(0);
  }

  async function ask() {
    asked?.abort();
    asked = new AbortController();
    try {
      const answer = await fetch(`${opener.dataset.palette}?q=${encodeURIComponent(input.value)}`, { signal: asked.signal, redirect: "error" });
      if (!answer.ok) throw new Error(answer.status);
      show((await answer.json()).entries);
    } catch (error) {
      if (error.name !== "AbortError") state.textContent = "The portal does not answer at the moment.";
    }
  }

  const go = (option) => { if (option) location.assign(option.dataset.link); };

  function open() {
    if (dialog.open) return;
    for (const menu of document.querySelectorAll("details.drop")) menu.open = false;
    input.value = "";
    list.replaceChildren();
    dialog.showModal();
    input.focus();
    ask();
  }

  opener.addEventListener("click", open);
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 120); });
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) choose(chosen + step);
    else if (event.key === "Enter") go(list.children[chosen]);
    else return;
    event.preventDefault();
  });
  list.addEventListener("click", (event) => go(event.target.closest("[role=option]")));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    const wanted = (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey)
      || (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey));
    if (!wanted) return;
    event.preventDefault();
    open();
  });
});
