// Buttons with data-dialog-open="ID" open a dialog; data-dialog-close closes it; a click beside it too.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog-open]");
  if (opener) document.getElementById(opener.dataset.dialogOpen)?.showModal();
  if (event.target.closest("[data-dialog-close]")) event.target.closest("dialog").close();
  if (event.target.matches("dialog[open]") && outside(event)) event.target.close();
});

// The dialog's own padding is the dialog too, so the place of the click decides.
function outside(event) {
  const box = event.target.getBoundingClientRect();
  return event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
}

for (const dialog of document.querySelectorAll("dialog[data-open-now]")) dialog.showModal();
