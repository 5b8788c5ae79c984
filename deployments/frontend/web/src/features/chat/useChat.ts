import { defineStore } from "pinia";
import { onScopeDispose, ref } from "vue";

import { useSession } from "../session/store";
import { askModel } from "./api";
import { createChat } from "./store";

/** The one conversation of this page: it outlives a change of pages, and ends with the sign-in. */
export const useChat = defineStore("chat", () => {
  const session = useSession();
  const chat = createChat({
    send: (turns, signal) => askModel(session.client, turns, signal),
    onUnauthenticated: session.refused,
  });
  onScopeDispose(() => chat.stop());
  /** What was typed and not sent yet. */
  const draft = ref("");
  return { chat, draft };
});
