// Light or dark by the person's choice on this device. A plain script in the head, so that no page flashes.
(() => {
  const root = document.documentElement;

  const apply = (choice) => {
    if (choice) root.dataset.theme = choice;
    else delete root.dataset.theme;
  };

  const stored = () => {
    try {
      return localStorage.getItem("theme") ?? "";
    } catch {
      return ""; // storage switched off: the system decides
    }
  };

  apply(stored());
  document.addEventListener("DOMContentLoaded", () => {
    for (const input of document.querySelectorAll("[data-theme-choice]")) input.checked = input.value === stored();
  });
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-theme-choice]")) return;
    try {
      localStorage.setItem("theme", event.target.value);
    } catch {
      // The choice then holds for this page only.
    }
    apply(event.target.value);
  });
})();
