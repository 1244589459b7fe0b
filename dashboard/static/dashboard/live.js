"use strict";
/* Keeps [data-live] true: fetches the page's live part and changes only what differs, so that nothing flickers and
   neither focus, scroll position, selection nor an opened table is lost. */
(() => {
  const live = document.querySelector("[data-live]");
  if (!live) return;
  const trouble = document.getElementById("live-trouble");
  let misses = 0;
  let timer = 0;

  const key = (node) => (node.nodeType === 1 ? node.tagName + "#" + node.id : node.nodeType);

  function morph(old, fresh) {
    if (old.nodeType !== 1) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    if (old.hasAttribute("data-keep")) return;
    for (const { name, value } of [...fresh.attributes]) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !(name === "open" && old.tagName === "DETAILS")) old.removeAttribute(name);
    }
    children(old, fresh);
  }

  function children(old, fresh) {
    const wanted = [...fresh.childNodes];
    wanted.forEach((node, index) => {
      let current = old.childNodes[index];
      if (node.id && (!current || current.id !== node.id)) {
        const known = [...old.children].find((child) => child.id === node.id);
        if (known) old.insertBefore(known, (current = old.childNodes[index]) || null);
        current = known || current;
      }
      if (!current) old.appendChild(node);
      else if (key(current) !== key(node)) old.insertBefore(node, current);
      else morph(current, node);
    });
    while (old.childNodes.length > wanted.length) old.removeChild(old.lastChild);
  }

  function speak(at) {
    const seconds = Math.max(0, (Date.now() - skew - at) / 1000);
    if (seconds < 5) return "just now";
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
      if (seconds >= size) return Math.floor(seconds / size) + " " + unit + " ago";
    }
    return Math.floor(seconds) + " s ago";
  }

  /* The visitor's clock may be wrong: the difference to the portal's is taken from its Date header. */
  let skew = 0;
  function ages(within = live) {
    for (const time of within.querySelectorAll("time[data-ago]")) {
      const text = speak(Date.parse(time.dateTime));
      if (time.textContent !== text) time.textContent = text;
    }
  }

  /* Another status: what the rest of the page says of the old one changes with it. */
  const phase = () => live.querySelector("[data-phase]")?.dataset.phase;
  let known = phase();
  async function entered() {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error", signal: AbortSignal.timeout(8000) });
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const old of document.querySelectorAll("[data-with-phase]")) {
      const fresh = page.getElementById(old.id);
      if (fresh) children(old, document.adoptNode(fresh));
    }
  }

  async function refresh() {
    clearTimeout(timer);
    const url = new URL(location.href);
    url.hash = "";
    url.searchParams.set("part", "live");
    try {
      const answer = await fetch(url, { headers: { Accept: "text/html" }, redirect: "error", signal: AbortSignal.timeout(8000) });
      if (!answer.ok) throw new Error(answer.status);
      const date = Date.parse(answer.headers.get("Date"));
      if (date && Math.abs(Date.now() - date) > 2500) skew = Date.now() - date;
      const fresh = document.createElement("div");
      fresh.innerHTML = await answer.text();
      ages(fresh);  // what it says by the minute, as the page does: else words would jump to and fro
      children(live, fresh);
      if (phase() !== known) {
        await entered();
        known = phase();  // only now: what did not come is asked for again
      }
      const titled = live.querySelector("[data-title]");
      if (titled && document.title !== titled.dataset.title) {
        document.title = titled.dataset.title;
        if (document.hidden) notify(document.title);
      }
      const icon = document.querySelector("link[rel=icon]");
      if (icon && titled?.dataset.icon && icon.getAttribute("href") !== titled.dataset.icon) icon.href = titled.dataset.icon;
      misses = 0;
      document.dispatchEvent(new CustomEvent("live"));
    } catch {
      misses += 1;
    }
    trouble.hidden = misses < 2;
    timer = setTimeout(refresh, pace());
  }

  /* The part that is shown may ask for another pace: a running deployment changes every second, an ended one never. */
  const shown = () => Number(live.querySelector("[data-pace]")?.dataset.pace || live.dataset.live);
  /* In the background title and icon are all that is seen: now and then is enough. */
  const pace = () => (document.hidden ? Math.max(shown(), 10000) : shown());

  /* Whoever asks for it is told by the desktop what the title says next, while another window or tab is looked at. */
  const TELL = "tellOnDesktop";
  const told = () => { try { return Notification.permission === "granted" && localStorage.getItem(TELL) === "yes"; } catch { return false; } };
  const notify = (text) => { try { if (told()) new Notification(text, { tag: location.pathname }); } catch { /* phones have none */ } };
  function offer() {
    if (!live.querySelector("[data-title]") || !isSecureContext || !("Notification" in window)) return;
    const button = Object.assign(document.createElement("button"), { type: "button", id: "tell", className: "tell" });
    const show = () => {
      button.setAttribute("aria-pressed", told());
      button.textContent = Notification.permission === "denied" ? "This browser forbids notifications" : "Notify this desktop of changes";
    };
    button.addEventListener("click", async () => {
      const yes = !told() && (await Notification.requestPermission()) === "granted";
      try { localStorage.setItem(TELL, yes ? "yes" : "no"); } catch { /* nothing is kept here: off */ }
      show();
    });
    show();
    document.querySelector("footer").append(" · ", button);
  }

  offer();
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  ages();
  setInterval(ages, 1000);
  timer = setTimeout(refresh, pace());
})();
