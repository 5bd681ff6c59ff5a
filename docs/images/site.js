// What scrolls sideways can be reached with the keyboard.
document$.subscribe(() => {
  document.querySelectorAll("pre, pre > code, .md-typeset__scrollwrap").forEach((element) => {
    if (element.scrollWidth > element.clientWidth) {
      element.tabIndex = 0;
    }
  });
});
