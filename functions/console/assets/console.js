// What makes pages pleasanter that work without it: copying, keeping lists fresh, keys, and a word before a secret is lost.
"use strict";

const say = (() => {
  const region = document.createElement("div");
  region.className = "unseen";
  region.setAttribute("role", "status");
  document.body.append(region);
  return (text) => { region.textContent = text; };
})();

// ── Copying ───────────────────────────────────────────────────────────────────────────────────

const prepare = (root) => {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
};
prepare(document);

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    say("Copied");
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 1500);
  } catch {
    say("The browser does not let the page copy");
  }
});

for (const field of document.querySelectorAll("[data-select]")) {
  field.addEventListener("focus", () => field.select());
  field.focus();
}

// ── A secret that is shown once ───────────────────────────────────────────────────────────────

for (const section of document.querySelectorAll("[data-unsaved]")) {
  const warn = (event) => event.preventDefault();
  addEventListener("beforeunload", warn);
  const release = () => removeEventListener("beforeunload", warn);
  section.querySelector("[data-saved]")?.addEventListener("click", release);
  section.querySelector("[data-copy]")?.addEventListener("click", release);
}

// ── Keeping fresh ─────────────────────────────────────────────────────────────────────────────
// `data-live="address"` is replaced by what that address answers, `data-every` seconds apart, while the page is looked at.
// Nothing moves under the pointer or the focus. The server says by an entity tag that nothing is new, and by 286 that nothing
// more will come.

const live = (place) => {
  const every = 1000 * (Number(place.dataset.every) || 5);
  let tag = "";
  let failures = 0;
  const isInUse = () => place.matches(":hover") || place.contains(document.activeElement) ||
    (getSelection()?.toString() && place.contains(getSelection().anchorNode));
  const look = async () => {
    if (!place.isConnected) return;
    let wait = every;
    if (document.visibilityState === "visible" && !isInUse()) {
      try {
        const headers = { "X-Fragment": "1" };
        if (tag) headers["If-None-Match"] = tag;
        const response = await fetch(place.dataset.live, { headers, credentials: "same-origin", redirect: "error" });
        // What is gone, or not to be seen any more, does not come back by asking.
        if ([401, 403, 404].includes(response.status)) return;
        if (response.status >= 500) throw new Error(`${response.status}`);
        failures = 0;
        if (response.ok) {
          tag = response.headers.get("ETag") ?? "";
          place.innerHTML = await response.text();
          prepare(place);
          if (response.status === 286) {
            if (place.dataset.reload !== undefined) location.reload();
            return;
          }
        }
        const asked = Number(response.headers.get("Retry-After"));
        if (asked) wait = asked * 1000;
      } catch {
        failures += 1;
        wait = Math.min(every * 2 ** failures, 60000);
      }
    }
    setTimeout(look, wait);
  };
  setTimeout(look, every);
};
for (const place of document.querySelectorAll("[data-live]")) live(place);

// ── Keys and menus ────────────────────────────────────────────────────────────────────────────

const isTyping = (target) => target.closest("input, textarea, select, [contenteditable]");
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary")?.focus();
    }
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const field = document.querySelector(`[data-hotkey="${CSS.escape(event.key)}"]`);
  if (field) {
    event.preventDefault();
    field.focus();
  }
});
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

// ── Boxes that tick others ────────────────────────────────────────────────────────────────────

for (const box of document.querySelectorAll("[data-all]")) {
  box.hidden = false;
  box.addEventListener("change", () => {
    for (const other of document.querySelectorAll(`input[name="${CSS.escape(box.dataset.all)}"]`)) {
      if (!other.disabled) other.checked = box.checked;
    }
  });
}

// The address no longer says what was done: loading the page anew is not to say it again.
if (document.querySelector("[data-toast]")) {
  const address = new URL(location.href);
  address.searchParams.delete("notice");
  history.replaceState(null, "", address);
}
