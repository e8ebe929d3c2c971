// Opens citations in the panel beside the answer, steps through them, and closes again. On a page of its own there is
// no panel: the same keys follow the same links.
import { fetchPartial, fill } from "./http.js";
import { taken } from "./keys.js";
import { showToast } from "./toast.js";

const STEPS = { ArrowUp: "citation-back", ArrowDown: "citation-on", ArrowLeft: "page-back", ArrowRight: "page-on" };
const NARROW = matchMedia("(width < 69rem)");

export default function viewer(root) {
  const panel = document.getElementById(root.dataset.panel);
  const behind = root.querySelector("[data-viewer-behind]");
  let opener = null;
  let loading = null;

  async function open(link) {
    loading?.abort();
    loading = new AbortController();
    const step = panel.contains(link) ? link.dataset.step : "";
    if (!step) opener = link;
    try {
      fill(panel, await fetchPartial(link.href, loading.signal));
    } catch (error) {
      if (error.name !== "AbortError") showToast(root.dataset.textFailed, "bad");
      return;
    }
    show(true);
    mark(opener);
    // Stepping keeps the finger on the button; opening leads into the document.
    (panel.querySelector(`a[data-step="${step}"][href]`) ?? panel.querySelector("[data-viewer-title]"))?.focus();
  }

  function show(shown) {
    panel.hidden = !shown;
    if (behind) behind.inert = shown && NARROW.matches;
    if (shown) panel.querySelector("rect.best, rect, mark")?.scrollIntoView({ block: "center" });
  }

  // The card and the numbers in the answer that belong to the open citation.
  function mark(from) {
    const n = panel.querySelector("[data-viewer]")?.dataset.n;
    const article = from?.closest("article");
    for (const link of root.querySelectorAll("a[data-n][aria-current]")) link.removeAttribute("aria-current");
    if (!article || !n) return;
    for (const link of article.querySelectorAll(`a[data-n="${n}"]`)) link.setAttribute("aria-current", "true");
    article.querySelector(".source[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  function close() {
    if (panel.hidden) return;
    show(false);
    panel.replaceChildren();
    mark(null);
    opener?.focus();
  }

  if (panel) {
    root.addEventListener("click", (event) => {
      const link = event.target.closest("a[data-open][href]");
      // A click with a key held means a new tab: that is the browser's.
      if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
        event.preventDefault();
        open(link);
      }
      if (event.target.closest("[data-viewer-close]")) close();
    });
    NARROW.addEventListener("change", () => show(!panel.hidden));
    if (!panel.hidden) show(true);
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && panel && !document.querySelector("dialog[open]")) return close();
    if (taken(event)) return;
    // Who stands in the document scrolls it.
    if (event.target.closest?.(".viewer-body") && /^Arrow(Up|Down)$/.test(event.key)) return;
    const place = panel ?? root;
    const step = place.hidden ? null : place.querySelector(`a[data-step="${STEPS[event.key]}"][href]`);
    const card = panel && /^[1-9]$/.test(event.key) && lastTurn(root)?.querySelector(`.source[data-n="${event.key}"]`);
    if (!step && !card) return;
    event.preventDefault();
    (step ?? card).click();
  });
}

function lastTurn(root) {
  return [...root.querySelectorAll("article.turn")].at(-1);
}
