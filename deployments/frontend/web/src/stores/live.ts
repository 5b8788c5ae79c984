import { reactive } from "vue";

import { toApiError } from "../lib/errors";
import { parseHeard, type Heard, type Holder, type Input, type Said, type Size } from "../lib/live";
import type { Painter } from "../lib/picture";
import type { Tab } from "../lib/types";

/** over: the session ended, or the connection; only a person's wish opens another one. */
export type Phase = "idle" | "connecting" | "live" | "over";

export interface Live {
  phase: Phase;
  /** Who drives the session. */
  wheel: Holder;
  tabs: Tab[];
  /** The page's size in CSS pixels; null until the first picture. */
  screen: Size | null;
  problem: string;
  watch(id: string, paint: Painter): void;
  leave(): void;
  take(): void;
  release(): void;
  /** Sends what a person does; nothing goes out without the wheel. */
  act(input: Input): void;
}

export interface LiveOptions {
  connect: (id: string) => WebSocket;
  /** Fails with the reason when the session cannot be watched: a WebSocket does not tell it. */
  inspect: (id: string) => Promise<void>;
  onUnauthenticated: () => void;
}

const OPEN = 1; // WebSocket.OPEN

/** Watches one session at a time, and drives it while this page has the wheel. */
export function createLive({ connect, inspect, onUnauthenticated }: LiveOptions): Live {
  let socket: WebSocket | null = null;

  const store: Live = reactive({
    phase: "idle",
    wheel: "agent",
    tabs: [],
    screen: null,
    problem: "",
    watch,
    leave() {
      drop();
      store.phase = "idle";
    },
    take() {
      store.problem = "";
      say({ type: "take" });
    },
    release: () => say({ type: "release" }),
    act: (input: Input) => store.wheel === "you" && say(input),
  });

  function drop(): void {
    const old = socket;
    socket = null;
    old?.close();
    store.wheel = "agent";
  }

  function say(said: Said): void {
    // A socket begins to close before it says so, and a browser complains of what is sent then.
    if (store.phase === "live" && socket?.readyState === OPEN) socket.send(JSON.stringify(said));
  }

  function watch(id: string, paint: Painter): void {
    drop();
    Object.assign(store, { phase: "connecting", tabs: [], screen: null, problem: "" });
    let mine: WebSocket;
    try {
      mine = socket = connect(id);
    } catch (cause) {
      store.phase = "over";
      store.problem = toApiError(cause).message;
      return;
    }
    const current = () => socket === mine;
    let painted = Promise.resolve();
    mine.binaryType = "arraybuffer";
    mine.addEventListener("open", () => current() && (store.phase = "live"));
    mine.addEventListener("message", ({ data }: MessageEvent<string | ArrayBuffer>) => {
      if (!current()) return;
      if (typeof data === "string") return hear(parseHeard(data));
      // One after the other, or an older picture could be painted over a newer one. One that cannot
      // be read is acknowledged too: the next may be better.
      painted = painted
        .then(() => (current() ? paint(data) : undefined))
        .catch(() => undefined)
        .then(() => (current() ? say({ type: "ack" }) : undefined));
    });
    mine.addEventListener("close", () => current() && lost(id));
  }

  function hear(heard: Heard | null): void {
    switch (heard?.type) {
      case "screen":
        store.screen = { width: heard.width, height: heard.height };
        break;
      case "state":
        store.wheel = heard.wheel;
        store.tabs = heard.tabs;
        break;
      case "refused":
        store.problem = heard.reason;
        break;
      case "ended":
        drop();
        store.phase = "over";
        store.problem = `This session has ended: ${heard.reason}.`;
    }
  }

  function lost(id: string): void {
    const opened = store.phase === "live";
    drop();
    store.phase = "over";
    store.problem = opened
      ? "The connection to this session was lost."
      : "The live view did not open.";
    inspect(id).catch((cause: unknown) => {
      const error = toApiError(cause);
      if (error.kind === "unauthenticated") onUnauthenticated();
      else if (store.phase === "over") store.problem = error.message;
    });
  }

  return store;
}
