import { createI18n } from "vue-i18n";

import en, { type Messages } from "./locales/en";

export const LANGUAGES = { en: "English", de: "Deutsch" } as const;
export type Language = keyof typeof LANGUAGES;
const NAME = "autobot.language";

/** English is in the first load; every other language is fetched when it is wanted. */
const LOAD: Record<Exclude<Language, "en">, () => Promise<{ default: Messages }>> = {
  de: () => import("./locales/de"),
};

export const i18n = createI18n<[Messages], Language, false>({
  legacy: false,
  locale: "en",
  fallbackLocale: "en",
  messages: { en } as Record<Language, Messages>,
});

const known = (name: string | null | undefined): name is Language =>
  name !== null && name !== undefined && name in LANGUAGES;

/** The language chosen on this device, else the browser's first that is there, else English. */
export function preferred(
  store: Pick<Storage, "getItem"> = localStorage,
  spoken: readonly string[] = navigator.languages,
): Language {
  const chosen = store.getItem(NAME);
  if (known(chosen)) return chosen;
  return spoken.map((tag) => tag.split("-")[0]).find(known) ?? "en";
}

/** Shows the page in `language`; `keep` remembers the choice on this device. */
export async function speak(language: Language, keep = false): Promise<void> {
  if (language !== "en") i18n.global.setLocaleMessage(language, (await LOAD[language]()).default);
  i18n.global.locale.value = language;
  document.documentElement.lang = language;
  if (keep) localStorage.setItem(NAME, language);
}
