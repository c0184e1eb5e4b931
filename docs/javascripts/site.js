// A table or a block of code that scrolls sideways can be reached, and scrolled, by the keyboard.
const reachable = () => {
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset pre > code")) {
    if (box.scrollWidth > box.clientWidth) {
      box.tabIndex = 0;
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", box.matches("code") ? "code, scrolls sideways" : "table, scrolls sideways");
    } else if (box.getAttribute("role") === "region") {
      box.removeAttribute("tabindex");
      box.removeAttribute("role");
      box.removeAttribute("aria-label");
    }
  }
};
window.addEventListener("load", reachable);
window.addEventListener("resize", reachable);

// The theme gives these no name of their own, which a screen reader would read.
document.querySelector(".md-search[role=dialog]")?.setAttribute("aria-label", "Search");
document.querySelector(".md-nav--primary")?.setAttribute("aria-label", "All pages");
