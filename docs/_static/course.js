// A table wider than its page scrolls in a frame of its own, which the keyboard reaches while there is anything to scroll.
document.addEventListener("DOMContentLoaded", () => {
  const watcher = new ResizeObserver((seen) => {
    for (const { target } of seen) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  for (const table of document.querySelectorAll(".bd-article table")) {
    const frame = document.createElement("div");
    frame.className = "course-table";
    frame.setAttribute("role", "group");
    frame.setAttribute("aria-label", "table");
    table.replaceWith(frame);
    frame.append(table);
    watcher.observe(frame);
  }
});
