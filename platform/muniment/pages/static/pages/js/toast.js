// Short words that go away by themselves, unless somebody is reading them or they are bad news.
const SECONDS = 6;

export default function toast(element) {
  element.querySelector("[data-toast-close]")?.addEventListener("click", () => element.remove());
  if (element.classList.contains("bad")) return;
  let timer;
  const start = () => (timer = setTimeout(() => element.remove(), SECONDS * 1000));
  const stop = () => clearTimeout(timer);
  element.addEventListener("pointerenter", stop);
  element.addEventListener("focusin", stop);
  element.addEventListener("pointerleave", start);
  element.addEventListener("focusout", start);
  start();
}

/** Shows `text` as a toast; tone is "", good, weak or bad. */
export function showToast(text, tone = "") {
  const list = document.getElementById("toasts");
  const element = document.getElementById("toast-template").content.firstElementChild.cloneNode(true);
  if (tone) element.classList.add(tone);
  element.querySelector("[data-toast-text]").textContent = text;
  list.append(element);
  list.dispatchEvent(new CustomEvent("muniment:added", { bubbles: true }));
}

/** The sentence a failed request deserves: the server's own when it sent problem+json, else ours from the page. */
export function sentenceOf(status, body) {
  const words = document.getElementById("toasts").dataset;
  try {
    const detail = JSON.parse(body).detail;
    if (detail) return detail;
  } catch {
    // Not JSON: a page, or nothing.
  }
  if (status === 0) return words.textOffline;
  return status === 403 || status === 404 ? words.textDenied : words.textFailed;
}
