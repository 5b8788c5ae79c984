import { defineStore } from "pinia";
import { computed, ref } from "vue";

import { i18n } from "../../i18n";
import { connect, type Config } from "../../lib/platform";
import { createSession } from "./session";

/** Where the platform is, and with which key this page asks it. */
export const useSession = defineStore("session", () => {
  const session = createSession(sessionStorage, localStorage);
  const config = ref<Config | null>(null);
  const api = computed(() => config.value?.api ?? "");
  const client = computed(() => connect(api.value, session.key.value ?? ""));
  const refused = () => session.signOut(i18n.global.t("signIn.revoked"));
  return { ...session, config, api, client, refused };
});
