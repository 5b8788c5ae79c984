import { VueQueryPlugin, QueryClient } from "@tanstack/vue-query";
import { createPinia } from "pinia";
import { createApp } from "vue";

import App from "./App.vue";
import { i18n, preferred, speak } from "./i18n";
import { toApiError } from "./lib/errors";
import { router } from "./router";
import "./style.css";

const PASSING = ["timeout", "unreachable"];

const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 2000,
      networkMode: "always", // a platform on one's own network is there without the internet
      retry: (failures, cause) => failures < 2 && PASSING.includes(toApiError(cause).kind),
    },
    mutations: { networkMode: "always" },
  },
});

await speak(preferred()).catch(() => undefined);
createApp(App)
  .use(createPinia())
  .use(router)
  .use(i18n)
  .use(VueQueryPlugin, { queryClient })
  .mount("#app");
