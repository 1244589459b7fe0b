"use strict";
/* Fetches what stands in [data-load] when it is opened: it is read from a server, and recorded. */
for (const details of document.querySelectorAll("details[data-load]")) {
  details.addEventListener("toggle", async () => {
    const place = details.querySelector("div");
    try {
      const answer = await fetch(details.dataset.load, { redirect: "error", signal: AbortSignal.timeout(30000) });
      place.innerHTML = await answer.text();
    } catch {
      place.textContent = "The portal did not answer. The link below leads to the journal.";
    }
  }, { once: true });
}
