import { computed, type ComputedRef, type Ref } from "vue";
import { useI18n } from "vue-i18n";
import { useRouter } from "vue-router";

import { useAutomationList } from "../features/automations/queries";
import { useChat } from "../features/chat/useChat";
import { useSession } from "../features/session/store";
import { LANGUAGES, speak, type Language } from "../i18n";
import { PAGES } from "../router";
import { THEMES, useTheme } from "../theme";
import type { Command } from "./matching";

/** All that can be done from the palette; automations are asked for while it is `open`. */
export function commandsFor(open: Ref<boolean>): ComputedRef<Command[]> {
  const { t } = useI18n();
  const router = useRouter();
  const session = useSession();
  const theme = useTheme();
  const { chat } = useChat();
  const automations = useAutomationList(open);
  const go = (path: string) => router.push(path);

  return computed(() => [
    ...PAGES.map(({ name, path, icon }) => ({
      id: `page-${name}`,
      title: t(`pages.${name}`),
      kind: t("palette.page"),
      icon,
      run: () => go(path),
    })),
    {
      id: "new-chat",
      title: t("chat.new"),
      kind: t("pages.chat"),
      icon: "plus" as const,
      run: () => {
        chat.clear();
        return go("/chat");
      },
    },
    {
      id: "new-automation",
      title: t("automations.new"),
      kind: t("pages.automations"),
      icon: "plus" as const,
      run: () => go("/automations/new"),
    },
    ...(automations.data.value ?? []).map(({ id }) => ({
      id: `automation-${id}`,
      title: id,
      kind: t("pages.automations"),
      icon: "automation" as const,
      run: () => go(`/automations/${id}`),
    })),
    ...THEMES.map((name) => ({
      id: `theme-${name}`,
      title: t("theme.set", { theme: t(`theme.${name}`) }),
      kind: t("pages.settings"),
      icon: name,
      run: () => (theme.theme = name),
    })),
    ...(Object.keys(LANGUAGES) as Language[]).map((name) => ({
      id: `language-${name}`,
      title: LANGUAGES[name],
      kind: t("pages.settings"),
      icon: "keyboard" as const,
      run: () => speak(name, true),
    })),
    {
      id: "sign-out",
      title: t("signIn.out"),
      kind: t("pages.settings"),
      icon: "leave" as const,
      run: () => session.signOut(),
    },
  ]);
}
