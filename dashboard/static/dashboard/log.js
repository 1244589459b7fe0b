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

  follow.parentElement.hidden = false;
  log.replaceChildren();

  log.addEventListener("scroll", () => {
    const end = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    if (follow.checked !== end) follow.checked = end;
  });
  follow.addEventListener("change", () => { if (follow.checked) log.scrollTop = log.scrollHeight; });

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
      const from = document.createElement("span");
      from.className = "from";
      from.textContent = time + " " + (server || "portal").padEnd(10) + " " + step.padEnd(12) + " ";
      from.title = time + " UTC";
      line.append(from, text);
      chunk.append(line);
      after = id;
    }
    if (stay && lines.length) log.scrollTop = log.scrollHeight;
  }

  async function poll() {
    let pause = 250; /* a line is here within half a second: benchmarks/remote_line.py */
    try {
      const answer = await fetch(log.dataset.log + "?after=" + after, { redirect: "error", signal: AbortSignal.timeout(8000) });
      if (!answer.ok) throw new Error(answer.status);
      const piece = await answer.json();
      append(piece.lines);
      misses = 0;
      state.textContent = !after ? "Nothing has been written yet." : piece.ended && !piece.more ? "Complete." : "";
      if (piece.more) pause = 0;
      else if (piece.ended) return;
    } catch {
      misses += 1;
      pause = Math.min(500 * misses, 2000);
      if (misses > 1) state.textContent = "The portal does not answer; trying again.";
    }
    setTimeout(poll, document.hidden ? Math.max(pause, 2000) : pause);
  }
  poll();
})();
