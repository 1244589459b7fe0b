"use strict";
/* What was measured under the pointer stands in the caption of each chart; without a script it is the tooltip. */
(() => {
  function read(target) {
    const slot = target.closest?.("rect.slot");
    const plot = slot?.closest(".plot");
    const index = slot ? [...slot.parentNode.querySelectorAll("rect.slot")].indexOf(slot) : -1;
    for (const figure of document.querySelectorAll("figure.chart")) {
      const readout = figure.querySelector(".readout");
      const one = plot?.contains(figure) ? figure.querySelectorAll("rect.slot")[index] : null;
      for (const each of figure.querySelectorAll("rect.slot")) each.classList.toggle("under", each === one);
      if (readout) readout.textContent = one ? one.textContent : "";
    }
  }
  document.addEventListener("pointerover", ({ target }) => read(target));
})();
