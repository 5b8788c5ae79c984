import { ref, type Ref } from "vue";

const NAME = "autobot.key";
type Store = Pick<Storage, "getItem" | "setItem" | "removeItem">;

export interface Session {
  /** The API key in use, or null when signed out. */
  key: Readonly<Ref<string | null>>;
  /** Why the last session ended, when it was not the user's wish. */
  notice: Ref<string>;
  signIn(key: string, remember: boolean): void;
  signOut(notice?: string): void;
}

/**
 * The key lives in the tab (`tab`, gone when it closes) unless the user asked to be remembered on
 * this device (`device`). It is never in both, and never in a cookie or an address.
 */
export function createSession(tab: Store, device: Store): Session {
  const key = ref(tab.getItem(NAME) ?? device.getItem(NAME));
  const notice = ref("");
  const forget = () => [tab, device].forEach((store) => store.removeItem(NAME));
  return {
    key,
    notice,
    signIn(value, remember) {
      forget();
      (remember ? device : tab).setItem(NAME, value);
      notice.value = "";
      key.value = value;
    },
    signOut(why = "") {
      forget();
      notice.value = why;
      key.value = null;
    },
  };
}

/** The key in what was pasted, or why it cannot be one: a word of the locales' `signIn`. */
export function readKey(pasted: string): { key: string } | { problem: "empty" | "noKey" } {
  const key = pasted.trim();
  if (key === "") return { problem: "empty" };
  // Anything else cannot be sent in an HTTP header.
  if (!/^[\x21-\x7e]+$/.test(key)) return { problem: "noKey" };
  return { key };
}
