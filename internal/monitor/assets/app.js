// Keeps the page as it is now: fetches its main part every two seconds while it
// is seen and changes only what is different, so that focus, selection and
// scrolling stay. Without this script the page reloads by itself.
"use strict";
(() => {
  const every = 2000;
  const main = document.getElementById("live");
  let timer = 0;
  let running = false;

  function morph(from, to) {
    if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName) {
      from.replaceWith(document.importNode(to, true));
      return;
    }
    if (from.nodeType === Node.TEXT_NODE) {
      if (from.data !== to.data) from.data = to.data;
      return;
    }
    if (from.nodeType !== Node.ELEMENT_NODE) return;
    for (const a of [...from.attributes]) if (!to.hasAttribute(a.name)) from.removeAttribute(a.name);
    for (const a of to.attributes) if (from.getAttribute(a.name) !== a.value) from.setAttribute(a.name, a.value);
    morphChildren(from, to);
  }

  // Children with a data-key are known by it; the others by their place.
  function morphChildren(from, to) {
    const keyed = new Map();
    for (const c of from.children) if (c.dataset.key !== undefined) keyed.set(c.dataset.key, c);
    let at = from.firstChild;
    for (const wanted of [...to.childNodes]) {
      const key = wanted.dataset && wanted.dataset.key;
      let have = at;
      if (key !== undefined) {
        have = keyed.get(key);
        keyed.delete(key);
        if (have && have !== at) from.insertBefore(have, at);
      } else if (at && at.dataset && at.dataset.key !== undefined) {
        have = null;
      }
      if (!have) {
        from.insertBefore(document.importNode(wanted, true), at);
        continue;
      }
      at = have.nextSibling;
      morph(have, wanted);
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  function trouble(text) {
    document.body.classList.toggle("stale", text !== "");
    const link = document.getElementById("link");
    if (link) link.textContent = text;
  }

  async function refresh() {
    if (running || document.hidden) return;
    running = true;
    const limit = new AbortController();
    const deadline = setTimeout(() => limit.abort(), 10000);
    try {
      const answer = await fetch("/monitor/purges/live", { signal: limit.signal, credentials: "same-origin" });
      if (answer.status === 401) {
        location.assign("/monitor/login?next=/monitor/purges");
        return;
      }
      const page = document.createElement("template"); // runs nothing of what is in it
      page.innerHTML = await answer.text();
      if (!page.content.querySelector(".headline")) throw new Error("not the page");
      morphChildren(main, page.content);
      trouble("");
    } catch {
      trouble("· no answer from the gateway; trying again");
    } finally {
      clearTimeout(deadline);
      running = false;
      clearTimeout(timer);
      if (!document.hidden) timer = setTimeout(refresh, every);
    }
  }

  document.addEventListener("visibilitychange", refresh);
  timer = setTimeout(refresh, every);
  // The notice of a button that was pressed is not for whoever reloads.
  if (location.search) history.replaceState(null, "", location.pathname);
})();
