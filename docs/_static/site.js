// What the site adds to its theme.

// A network on a page says how high it is (docs/extensions/embedded.js): its frame becomes as high.
// It is told the theme that the reader has chosen for the site.
const frames = () => document.querySelectorAll(".interactive iframe");

function tellTheme(frame) {
  const theme = document.body.dataset.theme;
  const known = theme === "light" || theme === "dark" ? theme : "system";
  frame.contentWindow.postMessage({ nncoreTheme: known }, "*");
}

window.addEventListener("message", (event) => {
  const height = event.data && event.data.nncoreHeight;
  if (typeof height !== "number") return;
  for (const frame of frames()) {
    if (frame.contentWindow !== event.source) continue;
    frame.style.height = `${height + 2}px`;
    tellTheme(frame);
  }
});

// A frame that was ready before this script has said its height to nobody: it is asked to say it again.
frames().forEach((frame) => frame.contentWindow.postMessage({ nncoreAsks: true }, "*"));

// For those who use a keyboard or a screen reader: what scrolls can be reached with the keyboard, and
// the parts of the page have names. A heading of a table's column that has no text is no heading.
document.addEventListener("DOMContentLoaded", () => {
  const changed = new MutationObserver(() => frames().forEach(tellTheme));
  changed.observe(document.body, { attributes: true, attributeFilter: ["data-theme"] });
  for (const part of document.querySelectorAll("pre, .table-wrapper")) {
    if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
  }
  for (const caption of document.querySelectorAll(".caption[role=heading]")) {
    caption.setAttribute("aria-level", "2");
  }
  const korean = document.documentElement.lang === "ko";
  const names = { ".sidebar-drawer": ["Pages", "페이지"], ".toc-drawer": ["Sections", "절"] };
  for (const [part, [inEnglish, inKorean]] of Object.entries(names)) {
    const found = document.querySelector(part);
    if (found) found.setAttribute("aria-label", korean ? inKorean : inEnglish);
  }
  for (const heading of document.querySelectorAll("th.head")) {
    if (!heading.textContent.trim()) heading.replaceWith(document.createElement("td"));
  }
});
