// Requests to our own server: the token against forged requests, and the header that asks for a partial.

export function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]')?.content ?? "";
}

/** Fetches one partial as text; throws an Error when the answer is not 2xx. */
export async function fetchPartial(url, signal) {
  const reply = await fetch(url, { headers: { "HX-Request": "true" }, signal });
  // A part is never redirected, except to the sign-in page when the session has ended.
  if (reply.redirected) location.reload();
  if (!reply.ok) throw new Error(`status ${reply.status}`);
  return reply.text();
}

/** Elements of html that our own server rendered. Never call this with text of a document or a model. */
export function elementsOf(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

/** Puts server-rendered html into `target` and lets behaviours and htmx see it. */
export function fill(target, html) {
  target.replaceChildren(elementsOf(html));
  announce(target);
}

export function announce(element) {
  window.htmx?.process(element);
  element.dispatchEvent(new CustomEvent("muniment:added", { bubbles: true }));
}

/** "%(n)s chosen" with {n: 3} -> "3 chosen". */
export function say(words, values) {
  return words.replace(/%\((\w+)\)[sd]/g, (_, name) => values[name]);
}
