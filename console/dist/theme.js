// Before anything is drawn, so that nobody who has chosen the dark theme sees the light one first.
try {
  const theme = localStorage.getItem("ade.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage that is refused holds no choice.
}
