import { defineStore } from "pinia";
import { onScopeDispose } from "vue";

import { useSession } from "../session/store";
import {
  endSession,
  inspect,
  newSession,
  sessionsOf,
  takeScreenshot,
  visit,
  watchSession,
} from "./api";
import { createLive } from "./live/store";
import { createScreenshots } from "./screenshots";
import { createBrowserSessions } from "./sessions";

/** Sessions, live view and screenshots of room browser, from the sign-in to its end. */
export const useBrowser = defineStore("browser", () => {
  const session = useSession();
  const onUnauthenticated = session.refused;
  const shots = createScreenshots({
    shoot: (url, signal) => takeScreenshot(session.client, url, signal),
    onUnauthenticated,
  });
  const sessions = createBrowserSessions({
    list: (signal) => sessionsOf(session.client, signal),
    create: (signal) => newSession(session.client, signal),
    goto: (id, url, signal) => visit(session.client, id, url, signal),
    remove: (id, signal) => endSession(session.client, id, signal),
    onUnauthenticated,
  });
  const live = createLive({
    connect: (id) => watchSession(session.api, session.key ?? "", id),
    inspect: (id) => inspect(session.client, id, AbortSignal.timeout(10_000)),
    clip: async (text) => navigator.clipboard.writeText(text),
    onUnauthenticated,
  });
  onScopeDispose(() => {
    shots.stop();
    sessions.stop();
    sessions.rest();
    live.leave();
  });
  return { shots, sessions, live };
});
