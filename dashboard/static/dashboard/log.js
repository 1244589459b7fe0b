"use strict";
/* Follows a deployment's log by id. Lines go into chunks that the browser need not lay out while they are out of
   sight, so that 50,000 of them scroll smoothly. When the portal is away it tries again from the same id. */
(() => {
  const log = document.getElementById("log");
  if (!log) return;
  const state = document.getElementById("log-state");
  const follow = document.getElementById("follow");
  const CHUNK = 100; /* the style sheet reserves 20px a line for it */
  let after = 0;
  let misses = 0;
  let chunk = null;

  document.getElementById("log-tools").hidden = false;
  log.replaceChildren();
  log.setAttribute("aria-busy", "true"); /* until the portal has answered once */

  log.addEventListener("scroll", () => {
    const end = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    if (follow.checked !== end) follow.checked = end;
  });
  const toEnd = () => { log.scrollTop = log.scrollHeight; };
  follow.addEventListener("change", () => { if (follow.checked) toEnd(); });
  document.getElementById("log-end").addEventListener("click", () => { follow.checked = true; toEnd(); });

  const copy = document.getElementById("log-copy");
  copy.hidden = !navigator.clipboard;
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText([...log.querySelectorAll(".line")].map((line) => line.textContent).join("\n"));
      copy.textContent = "Copied";
    } catch { copy.textContent = "The browser forbids it"; }
    setTimeout(() => { copy.textContent = "Copy"; }, 2000);
  });

  /* What is searched for is marked; Enter goes from one to the next, with Shift to the one before. */
  const search = document.getElementById("log-search");
  const hits = document.getElementById("log-hits");
  let found = [];
  let at = -1;
  const words = () => search.value.trim().toLowerCase();
  const marked = (line) => { const hit = words() !== "" && line.textContent.toLowerCase().includes(words()); line.classList.toggle("hit", hit); return hit; };
  const tell = () => { hits.textContent = !words() ? "" : found.length ? (at < 0 ? found.length + " found" : at + 1 + " of " + found.length) : "none"; };
  search.addEventListener("input", () => {
    log.querySelector(".found")?.classList.remove("found");
    found = [...log.querySelectorAll(".line")].filter(marked);
    at = -1;
    tell();
  });
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !found.length) return;
    event.preventDefault();
    found[at]?.classList.remove("found");
    at = event.shiftKey ? (at > 0 ? at : found.length) - 1 : (at + 1) % found.length;
    found[at].classList.add("found");
    show(found[at]);
    tell();
  });

  /* Within the log alone: the page stays where it is. */
  function show(line) {
    follow.checked = false;
    log.scrollTop += line.getBoundingClientRect().top - log.getBoundingClientRect().top - log.clientHeight / 3;
  }
  function named() {
    const line = location.hash.startsWith("#line-") && document.getElementById(location.hash.slice(1));
    log.querySelector(".found")?.classList.remove("found");
    if (!line) return;
    line.classList.add("found");
    show(line);
  }
  addEventListener("hashchange", named);

  function append(lines) {
    const stay = follow.checked;
    for (const [id, time, server, step, stream, text] of lines) {
      if (!chunk || chunk.childElementCount >= CHUNK) {
        /* Only a full chunk is as high as the space reserved for it. */
        if (chunk) chunk.classList.add("full");
        chunk = document.createElement("div");
        chunk.className = "chunk";
        log.append(chunk);
      }
      const line = document.createElement("div");
      line.className = "line " + (/^[a-z]+$/.test(stream) ? stream : "");
      line.id = "line-" + id;
      const from = document.createElement("span");
      from.className = "from";
      from.textContent = time + " " + (server || "portal").padEnd(10) + " " + step.padEnd(12) + " ";
      from.title = time + " UTC";
      line.append(from, text);
      chunk.append(line);
      if (words() && marked(line)) { found.push(line); tell(); }
      after = id;
    }
    if (stay && lines.length) toEnd();
  }

  /* Whether what is seen is what is: said where the state stands, and only when it changes. */
  const SIGN = "Live: this page follows by itself";
  function sign(text) {
    const live = document.getElementById("live-sign");
    if (!live) return;
    live.hidden = false;
    live.classList.toggle("lost", text !== SIGN);
    if (live.textContent !== text) live.textContent = text;
  }

  async function poll() {
    let pause = 250; /* a line is here within half a second: benchmarks/remote_line.py */
    try {
      const answer = await fetch(log.dataset.log + "?after=" + after, { redirect: "error", signal: AbortSignal.timeout(8000) });
      if (!answer.ok) throw new Error(answer.status);
      const piece = await answer.json();
      append(piece.lines);
      state.textContent = !after ? "Nothing has been written yet." : piece.ended && !piece.more ? "Complete." : "";
      misses = 0;
      sign(SIGN);
      if (document.getElementById("log-place")?.hidden) pause = 1000; /* nothing has begun */
      if (piece.more) pause = 0;
      else if (piece.ended) {
        document.getElementById("follow-label").hidden = true;
        return named();
      }
    } catch {
      misses += 1;
      pause = Math.min(500 * misses, 2000);
      if (misses > 1) {
        state.textContent = "The portal does not answer; trying again.";
        sign("Connection lost: trying again");
      }
    } finally {
      log.removeAttribute("aria-busy");
    }
    setTimeout(poll, document.hidden ? Math.max(pause, 2000) : pause);
  }
  poll();
})();
