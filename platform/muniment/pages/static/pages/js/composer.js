// Enter asks, Shift+Enter makes a new line; a new turn is brought into view and the field is emptied.
export default function composer(form) {
  const field = form.querySelector("textarea");
  const turns = document.getElementById("turns");
  const showNewest = () => turns.lastElementChild?.scrollIntoView({ block: "start" });

  if (turns.childElementCount > 1 && !location.hash) showNewest();

  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (field.value.trim()) form.requestSubmit();
  });

  form.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.elt !== form || !event.detail.successful) return;
    turns.hidden = false;
    field.value = "";
    form.querySelector(":scope > .notice.bad")?.remove();
    showNewest();
  });
}
