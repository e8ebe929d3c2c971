// Walks through what a search found with the keys, searches again when a filter changes, and says how much came.
import { taken } from "./keys.js";

const FORTH = new Set(["ArrowDown", "j"]);
const BACK = new Set(["ArrowUp", "k"]);

export default function search(section) {
  const form = section.querySelector('[role="search"]');
  const field = form.elements.q;
  const results = section.querySelector("#results");
  const links = () => [...results.querySelectorAll("[data-search-result]")];

  const walk = (step) => {
    const all = links();
    const at = all.indexOf(document.activeElement);
    if (at + step < 0) return field.focus();
    // From elsewhere on the page `j` begins with the first.
    return all[at < 0 ? 0 : Math.min(at + step, all.length - 1)]?.focus();
  };

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const inside = results.contains(event.target);
    const arrow = event.key.startsWith("Arrow");
    if (event.target === field) {
      // The only key that a field for one line does not use itself.
      if (event.key !== "ArrowDown" || event.isComposing || !links().length) return;
    } else if (arrow ? !inside : taken(event)) {
      return;
    }
    if (FORTH.has(event.key)) walk(1);
    else if (BACK.has(event.key)) walk(-1);
    else if (event.key === "Escape" && inside) field.focus();
    else return;
    event.preventDefault();
  });

  form.addEventListener("change", (event) => {
    if (event.target !== field) form.requestSubmit();
  });

  section.addEventListener("htmx:afterSwap", () => {
    const found = results.querySelector("[data-search-found], .empty");
    section.querySelector("[data-search-status]").textContent = found?.textContent.trim() ?? "";
    // The link that was followed is gone, and the focus with it.
    if (document.activeElement === document.body) results.querySelector("[data-search-found]")?.focus();
  });
}
