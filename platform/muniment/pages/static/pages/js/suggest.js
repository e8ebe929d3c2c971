// Puts a suggested question into the composer, to be changed or sent.
export default function suggest(link) {
  link.addEventListener("click", (event) => {
    const field = document.getElementById("question");
    if (!field || field.disabled) return;
    event.preventDefault();
    field.value = link.dataset.question;
    field.focus();
  });
}
