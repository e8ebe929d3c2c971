// What is in work in a library, kept fresh: only rows that changed are touched, so that focus and eyes stay where they are.
import { announce, elementsOf } from "./http.js";
import { subscribe } from "./stream.js";

export default function work(list) {
  subscribe(list.dataset.eventsUrl, {
    work: ({ html }) => renew(list, elementsOf(html)),
    published: refreshRows,
  });
}

export function refreshRows() {
  document.body.dispatchEvent(new CustomEvent("documents-changed"));
}

// Rows that somebody is choosing among stay as they are; this is asked when the new ones arrive, not when they are sent for.
document.addEventListener("htmx:beforeSwap", (event) => {
  const unasked = event.detail.requestConfig.triggeringEvent?.type === "documents-changed";
  if (unasked && event.target.querySelector("input:checked")) event.detail.shouldSwap = false;
});

function renew(list, fresh) {
  const rows = [...fresh.children];
  const ids = new Set(rows.map((row) => row.id));
  const now = new Map([...list.children].map((row) => [row.id, row]));
  for (const [id, old] of now) if (!ids.has(id)) old.remove();

  let place = list.firstElementChild;
  for (const row of rows) {
    const old = now.get(row.id);
    const node = old && same(old, row) ? old : row;
    if (old && node === row) {
      if (place === old) place = row;
      old.replaceWith(row);
    }
    if (node === place) place = place.nextElementSibling;
    else list.insertBefore(node, place);
    if (node === row) announce(row);
  }
}

// Forms carry a token that differs in every rendering, so what is compared is what is seen: words, bars, buttons.
function same(old, row) {
  const seen = (element) =>
    [element.textContent, element.querySelectorAll("button").length, ...bars(element)].join("\n");
  return seen(old) === seen(row);
}

function bars(element) {
  return [...element.querySelectorAll("progress")].map((bar) => bar.getAttribute("value"));
}
