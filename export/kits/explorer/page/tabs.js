// Tabs as the WAI-ARIA practices have them: one is in the tab order, arrow keys go to the others.

export function tabs(list, opened) {
  const all = [...list.querySelectorAll("[role=tab]")];
  const open = (tab) => {
    for (const each of all) {
      const chosen = each === tab;
      each.setAttribute("aria-selected", chosen);
      each.tabIndex = chosen ? 0 : -1;
      document.getElementById(each.getAttribute("aria-controls")).hidden = !chosen;
    }
    opened(tab.id.replace("tab-", ""));
  };
  all.forEach((tab, place) => {
    tab.addEventListener("click", () => open(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = all[(place + step + all.length) % all.length];
      next.focus();
      open(next);
    });
  });
}
