import { createRouter, createWebHistory } from "vue-router";

import type { IconName } from "./ui/AppIcon.vue";


export interface PageLink {
  name: string;
  path: string;
  icon: IconName;
  room: string;
}

/** The pages of the rail, in its order. Their names are words of the locales' `pages`. */
export const PAGES: readonly PageLink[] = [
  { name: "chat", path: "/chat", icon: "llm", room: "llm" },
  { name: "automations", path: "/automations", icon: "automation", room: "redis" },
  { name: "browser", path: "/browser", icon: "browser", room: "browser" },
  { name: "cluster", path: "/cluster", icon: "room", room: "main" },
  { name: "desktop", path: "/desktop", icon: "desktop", room: "main" },
  { name: "settings", path: "/settings", icon: "settings", room: "frontend" },
];

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: "/", redirect: "/chat" },
    { path: "/chat", name: "chat", component: () => import("./features/chat/ChatPage.vue") },
    {
      path: "/automations",
      name: "automations",
      component: () => import("./features/automations/AutomationsPage.vue"),
    },
    {
      path: "/automations/new",
      name: "new-automation",
      component: () => import("./features/automations/AutomationPage.vue"),
      props: { name: null },
    },
    {
      path: "/automations/:name",
      name: "automation",
      component: () => import("./features/automations/AutomationPage.vue"),
      props: true,
    },
    {
      path: "/runs/:run",
      name: "run",
      component: () => import("./features/automations/runs/RunPage.vue"),
      props: true,
    },
    {
      path: "/browser",
      name: "browser",
      component: () => import("./features/browser/BrowserPage.vue"),
    },
    {
      path: "/cluster",
      name: "cluster",
      component: () => import("./features/cluster/ClusterPage.vue"),
    },
    {
      path: "/desktop",
      name: "desktop",
      component: () => import("./features/desktop/DesktopPage.vue"),
    },
    {
      path: "/settings",
      name: "settings",
      component: () => import("./features/settings/SettingsPage.vue"),
    },
    { path: "/:rest(.*)*", redirect: "/chat" },
  ],
});
