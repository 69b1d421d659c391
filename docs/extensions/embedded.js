// Put into the page of a network for the site: what the page does in a frame. The site has a title,
// languages and themes of its own, so the page's header is hidden, and the frame gets the height of
// the page, so that it need not scroll. docs/_static/site.js tells it the theme.
(() => {
  if (window.parent === window) return;
  const header = document.querySelector("header");
  const language = new URLSearchParams(location.search).get("language");
  const button = header && header.querySelector(`button[lang="${CSS.escape(language || "en")}"]`);
  if (button) button.click();
  if (header) header.hidden = true;
  const report = () => {
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    window.parent.postMessage({ nncoreHeight: height }, "*");
  };
  window.addEventListener("message", (event) => {
    const theme = event.source === window.parent && event.data && event.data.nncoreTheme;
    if (theme) document.documentElement.dataset.theme = theme;
    if (event.source === window.parent && event.data && event.data.nncoreAsks) report();
  });
  new ResizeObserver(report).observe(document.body);
  report();
})();
