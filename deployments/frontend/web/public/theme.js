// Runs before the first paint, so that a chosen theme never flashes up as the other one.
(() => {
  try {
    document.documentElement.dataset.theme = localStorage.getItem("autobot.theme") ?? "auto";
    document.documentElement.lang = localStorage.getItem("autobot.language") ?? "en";
  } catch {
    // A browser that keeps nothing follows the system.
  }
})();
