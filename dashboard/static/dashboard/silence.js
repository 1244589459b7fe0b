"use strict";
/* Shows, while somebody chooses, which alerts a silence would match now: the portal asks Alertmanager. */
(() => {
  const form = document.getElementById("silence");
  const shown = document.getElementById("silence-preview");
  if (!form) return;
  let latest = 0;
  async function look() {
    const mine = ++latest;
    const sent = new FormData(form);
    sent.set("do", "preview");
    sent.set("part", "preview");
    try {
      const answer = await fetch(form.action, { method: "POST", body: sent, redirect: "error", signal: AbortSignal.timeout(8000) });
      const text = await answer.text();
      if (mine === latest && answer.status < 600 && answer.headers.get("Content-Type")?.startsWith("text/html")) shown.innerHTML = text;
    } catch { /* the button asks again, and says why not */ }
  }
  form.addEventListener("change", ({ target }) => { if (!["minutes", "reason"].includes(target.name)) look(); });
  if (form.querySelector("input[name=label]:checked")) look();
})();
