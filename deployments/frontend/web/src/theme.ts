import { defineStore } from "pinia";
import { ref, watchEffect } from "vue";

export const THEMES = ["auto", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];
const NAME = "autobot.theme";

/**
 * The user's choice of theme; `auto` follows the system. Kept on this device; `public/theme.js`
 * applies it before the first paint.
 */
export const useTheme = defineStore("theme", () => {
  const stored = localStorage.getItem(NAME);
  const theme = ref<Theme>(THEMES.find((name) => name === stored) ?? "auto");
  watchEffect(() => {
    document.documentElement.dataset.theme = theme.value;
    if (theme.value === "auto") localStorage.removeItem(NAME);
    else localStorage.setItem(NAME, theme.value);
  });
  return { theme };
});

export const nextTheme = (theme: Theme): Theme =>
  THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? "auto";
