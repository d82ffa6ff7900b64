// Before the first paint, so that nobody who chose dark sees a flash of light; therefore no module.
(() => {
  const STORED = "fx-assets-theme";
  const system = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;

  function chosen() {
    const stored = localStorage.getItem(STORED);
    return stored === "dark" || stored === "light" ? stored : null;
  }

  function apply() {
    root.dataset.theme = chosen() ?? (system.matches ? "dark" : "light");
    const button = document.getElementById("theme");
    if (button) button.textContent = root.dataset.theme === "dark" ? "Light" : "Dark";
    if (button) button.setAttribute("aria-label", `Switch to the ${button.textContent.toLowerCase()} theme`);
    window.dispatchEvent(new Event("themechange"));
  }

  function toggle() {
    localStorage.setItem(STORED, root.dataset.theme === "dark" ? "light" : "dark");
    apply();
  }

  apply();
  system.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", toggle);
    apply();
  });
})();
