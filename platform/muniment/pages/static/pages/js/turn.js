// A turn while it runs: sources first, then the words as they come, at last the answer as the server renders it.
import { fill } from "./http.js";
import { subscribe } from "./stream.js";

export default function turn(article) {
  const { eventsUrl, textLost } = article.dataset;
  if (!eventsUrl) return;
  const part = (name) => article.querySelector(`[data-turn-${name}]`);
  const words = part("words");
  let said = words.textContent;
  const say = (text) => (words.textContent = said = text);

  const finish = () => {
    end();
    part("status")?.remove();
    part("answer").setAttribute("aria-busy", "false");
  };
  const replaceAnswer = ({ html }) => {
    fill(part("answer"), html);
    part("answer").setAttribute("aria-busy", "false");
  };

  const end = subscribe(
    eventsUrl,
    {
      begin: () => part("live") && clear(part("live")),
      sources: ({ html }) => fill(part("sources"), html),
      waiting: ({ text }) => say(text),
      status: ({ text }) => say(text),
      token: ({ text }) => write(part("live"), text, article),
      answer: replaceAnswer,
      failed: replaceAnswer,
      done: finish,
      // The page would go on showing what this person may no longer see.
      gone: () => location.reload(),
    },
    { onLost: () => (words.textContent = textLost), onBack: () => (words.textContent = said) },
  );
}

function clear(live) {
  live.replaceChildren();
  delete live.dataset.held;
}

// A token may end inside "[12]", so what could become a citation is held back until it is whole.
function write(live, text, article) {
  if (!live) return;
  const all = (live.dataset.held ?? "") + text;
  const open = all.match(/\[[\d, ]*$/);
  const ready = open ? all.slice(0, open.index) : all;
  live.dataset.held = open ? open[0] : "";
  for (const piece of ready.split(/(\[\d+(?:, ?\d+)*\])/)) {
    const numbers = /^\[\d/.test(piece) ? piece.match(/\d+/g) : [];
    const chips = numbers.map((number) => chip(number, article)).filter(Boolean);
    if (piece) live.append(...(chips.length ? chips : [piece]));
  }
}

// The card above knows where the source is; a number without a card stays plain text.
function chip(number, article) {
  const card = article.querySelector(`a.source[data-n="${number}"]`);
  if (!card) return null;
  const link = document.createElement("a");
  link.className = "cite";
  link.href = card.href;
  link.dataset.open = "";
  link.dataset.n = number;
  link.textContent = number;
  return link;
}
