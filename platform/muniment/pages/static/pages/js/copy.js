// Copies the words of the answer beside the button.
export default function copy(button) {
  const words = button.textContent;
  button.addEventListener("click", async () => {
    const answer = button.closest("[data-turn-answer]")?.querySelector("[data-answer-words]");
    if (!answer) return;
    await navigator.clipboard.writeText(answer.innerText);
    button.textContent = button.dataset.copied;
    setTimeout(() => (button.textContent = words), 2000);
  });
}
