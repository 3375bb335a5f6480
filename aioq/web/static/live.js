// Live pages. Without this file all pages work, and show how things stood when they were loaded.
"use strict";

(() => {
  const main = document.getElementById("main");
  const button = document.querySelector("button.live");
  const trouble = document.getElementById("trouble");
  const search = document.querySelector("input[type=search]");
  const PAUSED = "aioq-paused";
  let source = null;

  const store = {
    get: () => { try { return sessionStorage.getItem(PAUSED); } catch { return null; } },
    set: (value) => { try { sessionStorage.setItem(PAUSED, value); } catch { /* it is forgotten with the page */ } },
  };

  // What somebody is about to do is not taken away from under their hands.
  const isBusy = () => {
    const focused = document.activeElement;
    const selection = document.getSelection();
    return (focused && main.contains(focused) && /^(INPUT|SELECT|TEXTAREA|BUTTON)$/.test(focused.tagName))
      || main.querySelector("details.sure[open]") !== null
      || (selection && !selection.isCollapsed && main.contains(selection.anchorNode));
  };

  const show = (html) => {
    const opened = new Map([...main.querySelectorAll("details[id]")].map((each) => [each.id, each.open]));
    const scrolled = [...main.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
    const links = [...main.querySelectorAll("a[href], summary, .scroll")];
    const at = links.indexOf(document.activeElement);
    main.innerHTML = html;
    for (const [id, isOpen] of opened) {
      const found = document.getElementById(id);
      if (found) found.open = isOpen;
    }
    main.querySelectorAll(".scroll").forEach((each, i) => { each.scrollLeft = scrolled[i] || 0; });
    if (at >= 0) main.querySelectorAll("a[href], summary, .scroll")[at]?.focus({ preventScroll: true });
  };

  const tell = (text) => {
    trouble.hidden = !text;
    if (trouble.textContent !== text) trouble.textContent = text;
  };

  const stop = () => {
    if (source) source.close();
    source = null;
    tell("");
    button.textContent = "Resume";
    button.setAttribute("aria-pressed", "true");
    document.body.classList.remove("is-live");
  };

  const start = () => {
    source = new EventSource(button.dataset.live + location.search);
    source.addEventListener("page", (event) => {
      tell("");
      if (!isBusy()) show(event.data);
    });
    source.addEventListener("trouble", (event) => tell(`Shown as it was a moment ago. ${event.data}`));
    source.addEventListener("error", () => tell("The dashboard does not answer. It is asked again every few seconds."));
    source.addEventListener("open", () => tell(""));
    button.textContent = "Pause";
    button.setAttribute("aria-pressed", "false");
    document.body.classList.add("is-live");
  };

  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const pauses = source !== null;
      store.set(pauses ? "1" : "");
      if (pauses) stop(); else start();
    });
    if (store.get()) stop(); else start();
    addEventListener("pagehide", () => { if (source) source.close(); });
    addEventListener("pageshow", (event) => { if (event.persisted && source) start(); });
  }

  // The page that says that the server is away comes back when it answers.
  if (document.querySelector("[data-recovers]")) {
    setInterval(async () => {
      try {
        const answer = await fetch(location.href, { cache: "no-store" });
        if (answer.ok) location.reload();
      } catch { /* the dashboard itself is away; it is asked again */ }
    }, 3000);
  }

  // Commands that help can be copied, where the browser allows it.
  if (navigator.clipboard) {
    document.body.classList.add("can-copy");
    main.addEventListener("click", async (event) => {
      if (!event.target.matches("button.copy")) return;
      try {
        await navigator.clipboard.writeText(event.target.previousElementSibling.textContent);
        event.target.textContent = "Copied";
      } catch { event.target.textContent = "Select it"; }
    });
  }

  // A count goes on by itself, as long as it is looked at.
  const onward = document.querySelector("a[data-onward]");
  if (onward) setTimeout(() => location.replace(onward.href), 200);

  addEventListener("keydown", (event) => {
    const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey && search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
    if (event.key === "Escape") {
      if (event.target === search) search.blur();
      const open = main.querySelector("details.sure[open]");
      if (open) { open.open = false; open.querySelector("summary").focus(); }
    }
  });
})();
