import { ref, watchEffect, type Ref } from "vue";

export const THEMES = ["auto", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];
const NAME = "autobot.theme";

/** The user's choice of theme; `auto` follows the system. Kept on this device. */
export function useTheme(): Ref<Theme> {
  const stored = localStorage.getItem(NAME);
  const theme = ref<Theme>(THEMES.find((name) => name === stored) ?? "auto");
  watchEffect(() => {
    document.documentElement.dataset.theme = theme.value;
    if (theme.value === "auto") localStorage.removeItem(NAME);
    else localStorage.setItem(NAME, theme.value);
  });
  return theme;
}
