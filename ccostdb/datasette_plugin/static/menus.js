// A click outside an open menu closes it.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.actions-menu-links[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
// The editor takes the place of a field, and so of its label.
addEventListener("load", () => document.querySelector(".CodeMirror")?.CodeMirror.setOption("screenReaderLabel", "SQL"));
