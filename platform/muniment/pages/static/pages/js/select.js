// Shows what can be done with the chosen rows, and how many they are.
import { say } from "./http.js";

export default function select(form) {
  const bar = form.querySelector("[data-select-bar]");
  const count = form.querySelector("[data-select-count]");
  form.addEventListener("change", () => {
    const n = form.querySelectorAll('input[name="document"]:checked').length;
    bar.hidden = n === 0;
    count.textContent = say(count.dataset.text, { n });
  });
}
