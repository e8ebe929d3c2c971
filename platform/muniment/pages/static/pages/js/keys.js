// Single keys for what people do most; `?` shows them. They can be switched off, for those who speak to their machine.
const SWITCH = "keys-off";

const off = () => {
  try {
    return localStorage.getItem(SWITCH) === "1";
  } catch {
    return false;
  }
};

/** True when the key belongs to something else: a field, a dialog, or the browser. */
export function taken(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || off()) return true;
  return Boolean(event.target.closest?.("input, textarea, select, [contenteditable], dialog[open]"));
}

export default function keys(shell) {
  const { askUrl, searchUrl } = shell.dataset;
  const actions = {
    "?": () => document.getElementById("keys").showModal(),
    "/": () => focusOn('#main [role="search"] :is([name="q"], input)') || go(searchUrl),
    n: () => go(askUrl),
    i: () => focusOn("#question"),
  };
  document.addEventListener("keydown", (event) => {
    if (taken(event) || !actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  });

  const box = document.querySelector("[data-keys-switch]");
  box.checked = !off();
  box.addEventListener("change", () => localStorage.setItem(SWITCH, box.checked ? "0" : "1"));
}

function go(url) {
  if (url) location.assign(url);
}

function focusOn(selector) {
  const element = document.querySelector(selector);
  element?.focus();
  return Boolean(element);
}
