// What scrolls sideways can be reached with the keyboard.
document$.subscribe(() => {
  document.querySelectorAll("pre, pre > code, .md-typeset__scrollwrap").forEach((element) => {
    if (element.scrollWidth > element.clientWidth) {
      element.tabIndex = 0;
    }
  });
});

// The buttons beside blocks of code are landmarks, which need names to be told apart; they come with their blocks.
let blocks = 0;
new MutationObserver(() => {
  document.querySelectorAll("nav.md-code__nav:not([aria-label])").forEach((element) => {
    blocks += 1;
    element.setAttribute("aria-label", `Block of code ${blocks}`);
  });
}).observe(document.documentElement, { childList: true, subtree: true });

// From a file system there is no search: the theme takes its field away, and leaves the button on narrow screens.
if (location.protocol === "file:") {
  document.querySelectorAll(".md-header label[for='__search']").forEach((element) => {
    element.style.display = "none";
  });
}
