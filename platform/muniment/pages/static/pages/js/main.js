// Attaches a behaviour to every element with data-module="NAME", now and in what htmx brings later.
import composer from "./composer.js";
import copy from "./copy.js";
import { csrfToken } from "./http.js";
import "./dialog.js";
import keys from "./keys.js";
import menu from "./menu.js";
import search from "./search.js";
import select from "./select.js";
import suggest from "./suggest.js";
import toast, { sentenceOf, showToast } from "./toast.js";
import turn from "./turn.js";
import upload from "./upload.js";
import viewer from "./viewer.js";
import work from "./work.js";

const modules = { composer, copy, keys, menu, search, select, suggest, toast, turn, upload, viewer, work };
const attached = new WeakSet();

/** Attaches what lies in `root`, `root` itself included; each element once. */
export function attach(root) {
  const found = [...root.querySelectorAll("[data-module]")];
  if (root.matches?.("[data-module]")) found.unshift(root);
  for (const element of found) {
    if (attached.has(element)) continue;
    attached.add(element);
    modules[element.dataset.module]?.(element);
  }
}

attach(document);
document.addEventListener("htmx:load", (event) => attach(event.target));
document.addEventListener("muniment:added", (event) => attach(event.target));

document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-CSRFToken"] = csrfToken();
});
document.addEventListener("htmx:beforeSwap", (event) => {
  // A whole page where a part was asked for: the session has ended and this is the sign-in page.
  if (!/^\s*<!doctype/i.test(event.detail.xhr.responseText)) return;
  event.detail.shouldSwap = false;
  location.reload();
});
document.addEventListener("htmx:responseError", (event) => {
  const { status, responseText } = event.detail.xhr;
  showToast(sentenceOf(status, responseText), "bad");
});
document.addEventListener("htmx:sendError", () => showToast(sentenceOf(0, ""), "bad"));
