import { reactive } from "vue";

import type { SessionInfo, SessionList } from "../../generated";
import { toApiError } from "../../lib/errors";
import { webAddress } from "../../lib/format";

export interface BrowserSessions {
  /** Null until they are known. */
  sessions: SessionInfo[] | null;
  /** Addresses of VMs whose sessions cannot be told. */
  unreachable: string[];
  /** Why the list may be out of date. */
  trouble: string;
  problem: string;
  busy: boolean;
  /** The session on the screen. */
  watched: string | null;
  open(typed: string): Promise<boolean>;
  /** Gives up what is being opened. */
  stop(): void;
  close(id: string): Promise<void>;
  /** Lists the sessions now and every few seconds, until `rest`. */
  poll(): void;
  /** Lists them at once, unless they rest. */
  refresh(): void;
  rest(): void;
}

export interface BrowserOptions {
  list: (signal: AbortSignal) => Promise<SessionList>;
  create: (signal: AbortSignal) => Promise<SessionInfo>;
  goto: (id: string, url: string, signal: AbortSignal) => Promise<void>;
  remove: (id: string, signal: AbortSignal) => Promise<void>;
  onUnauthenticated: () => void;
  /** Milliseconds between two looks, and the longest that one call may take. */
  interval?: number;
  deadline?: number;
}

/** The sessions of this key in room browser. */
export function createBrowserSessions(options: BrowserOptions): BrowserSessions {
  const { list, create, goto, remove, interval = 3000, deadline = 60_000 } = options;
  let opening = new AbortController();
  let round = 0;
  let resting = true;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const store: BrowserSessions = reactive({
    sessions: null,
    unreachable: [],
    trouble: "",
    problem: "",
    busy: false,
    watched: null,
    stop: () => opening.abort(),
    async open(typed: string) {
      const address = webAddress(typed);
      store.problem = address ? "" : "That is not a web address.";
      if (!address || store.busy) return false;
      opening = new AbortController();
      store.busy = true;
      try {
        store.watched = await opened(address, opening.signal);
        refresh();
        return true;
      } catch (cause) {
        store.problem = told(cause);
        return false;
      } finally {
        store.busy = false;
      }
    },
    async close(id: string) {
      store.problem = "";
      try {
        await remove(id, AbortSignal.timeout(deadline));
        store.sessions = store.sessions?.filter((session) => session.id !== id) ?? null;
        if (store.watched === id) store.watched = null;
      } catch (cause) {
        store.problem = told(cause);
      }
      refresh();
    },
    poll,
    refresh,
    rest() {
      resting = true;
      round += 1;
      clearTimeout(timer);
    },
  });

  /** A session that does not get to its page is closed again: it would only take a place. */
  async function opened(address: string, stopped: AbortSignal): Promise<string> {
    const signal = AbortSignal.any([stopped, AbortSignal.timeout(deadline)]);
    const { id } = await create(signal);
    try {
      await goto(id, address, signal);
      return id;
    } catch (cause) {
      await remove(id, AbortSignal.timeout(deadline)).catch(() => undefined);
      throw cause;
    }
  }

  function refresh(): void {
    if (!resting) poll();
  }

  function poll(): void {
    resting = false;
    clearTimeout(timer);
    void look(++round);
  }

  async function look(mine: number): Promise<void> {
    try {
      const listed = await list(AbortSignal.timeout(deadline));
      if (mine !== round) return;
      store.sessions = listed.sessions;
      store.unreachable = listed.unreachable;
      store.trouble = "";
    } catch (cause) {
      if (mine !== round) return;
      store.unreachable = [];
      store.sessions = null; // they may be gone: say so instead of offering them
      store.trouble = told(cause);
    }
    timer = setTimeout(poll, interval);
  }

  function told(cause: unknown): string {
    const error = toApiError(cause);
    if (error.kind === "unauthenticated") options.onUnauthenticated();
    return error.message;
  }

  return store;
}
