// The drawer: on a phone the rail slides over the page, and the page behind it cannot be reached.
export default function menu(button) {
  const rail = document.getElementById(button.getAttribute("aria-controls"));
  const page = document.getElementById("main");

  const show = (open) => {
    rail.toggleAttribute("data-open", open);
    button.setAttribute("aria-expanded", String(open));
    if (page) page.inert = open;
    if (open) rail.querySelector("a")?.focus();
    else if (rail.contains(document.activeElement)) button.focus();
  };

  button.addEventListener("click", (event) => {
    event.stopPropagation();
    show(!rail.hasAttribute("data-open"));
  });
  document.addEventListener("click", (event) => {
    if (rail.hasAttribute("data-open") && !rail.contains(event.target)) show(false);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && rail.hasAttribute("data-open")) show(false);
  });
}
