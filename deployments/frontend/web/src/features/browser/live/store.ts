import { reactive } from "vue";

import { toApiError } from "../../../lib/errors";
import { webAddress } from "../../../lib/format";
import {
  parseHeard,
  type Heard,
  type Holder,
  type Input,
  type LiveTab,
  type Past,
  type Said,
  type Size,
} from "./messages";
import type { Painter } from "./picture";

/**
 * connecting: also again, after a connection was lost; over: the session ended, or no connection can
 * be made; only a person's wish opens another one.
 */
export type Phase = "idle" | "connecting" | "live" | "over";

export interface Live {
  phase: Phase;
  /** Who drives the session. */
  wheel: Holder;
  tabs: LiveTab[];
  /** The page's size in CSS pixels; null until the first picture. */
  screen: Size | null;
  problem: string;
  /** A lost connection held the wheel, and this page takes it again when it can. */
  retaking: boolean;
  watch(id: string, paint: Painter): void;
  leave(): void;
  take(): void;
  release(): void;
  /** Sends what a person does; nothing goes out without the wheel. */
  act(input: Input): void;
  /** Opens an address in the page, as it was typed. */
  goto(typed: string): void;
  past(way: Past): void;
  /** Puts what is selected in the page on this machine's clipboard. */
  copy(): void;
}

export interface LiveOptions {
  connect: (id: string) => WebSocket;
  /** Fails with the reason when the session cannot be watched: a WebSocket does not tell it. */
  inspect: (id: string) => Promise<void>;
  /** Writes to the clipboard. */
  clip: (text: string) => Promise<void>;
  onUnauthenticated: () => void;
  /** Milliseconds to wait before each try to connect again. */
  retries?: readonly number[];
}

const RETRIES = [300, 2000, 5000, 10_000];
/** The session's side of a dead connection may hold the wheel for so long before it lets go. */
const RETAKEN_MS = 180_000;
/** What says that a session cannot be watched any more; every other failure may pass. */
const FINAL = [401, 403, 404, 410];
const OPEN = 1; // WebSocket.OPEN

/** Watches one session at a time, and drives it while this page has the wheel. */
export function createLive(options: LiveOptions): Live {
  const { connect, inspect, clip, onUnauthenticated, retries = RETRIES } = options;
  let socket: WebSocket | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let tries = 0;
  let retakenBy = 0;

  const store: Live = reactive({
    phase: "idle",
    wheel: "agent",
    tabs: [],
    screen: null,
    problem: "",
    retaking: false,
    watch,
    leave() {
      drop();
      store.retaking = false;
      store.phase = "idle";
    },
    take() {
      store.problem = "";
      say({ type: "take" });
    },
    release() {
      store.retaking = false;
      say({ type: "release" });
    },
    act,
    goto(typed: string) {
      if (store.wheel !== "you") return waits();
      const url = webAddress(typed);
      store.problem = url ? "" : "That is not a web address.";
      if (url) act({ type: "goto", url });
    },
    past(history: Past) {
      if (store.wheel !== "you") return waits();
      store.problem = "";
      act({ type: "goto", history });
    },
    copy: () => act({ type: "copy" }),
  });

  function waits(): void {
    store.problem = "Wait until you have the wheel again.";
  }

  function act(said: Said): void {
    if (store.wheel === "you") say(said);
  }

  function drop(): void {
    const old = socket;
    socket = null;
    clearTimeout(timer);
    old?.close();
    store.wheel = "agent";
  }

  function say(said: Said): void {
    // A socket begins to close before it says so, and a browser complains of what is sent then.
    if (store.phase === "live" && socket?.readyState === OPEN) socket.send(JSON.stringify(said));
  }

  function watch(id: string, paint: Painter): void {
    Object.assign(store, { tabs: [], screen: null, problem: "", retaking: false });
    tries = 0;
    open(id, paint);
  }

  function open(id: string, paint: Painter): void {
    drop();
    store.phase = "connecting";
    let mine: WebSocket;
    try {
      mine = socket = connect(id);
    } catch (cause) {
      giveUp();
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
    mine.addEventListener("close", () => current() && lost(id, paint));
  }

  function hear(heard: Heard | null): void {
    switch (heard?.type) {
      case "screen":
        store.screen = { width: heard.width, height: heard.height };
        break;
      case "state":
        store.wheel = heard.wheel;
        store.tabs = heard.tabs;
        if (tries > 0) store.problem = "";
        tries = 0;
        if (heard.wheel === "you" || Date.now() > retakenBy) store.retaking = false;
        else if (store.retaking && heard.wheel === "agent") say({ type: "take" });
        break;
      case "copied":
        if (heard.text) clip(heard.text).catch((cause: unknown) => (store.problem = unclipped(cause)));
        break;
      case "refused":
        store.problem = heard.reason;
        break;
      case "ended":
        drop();
        giveUp();
        store.problem = `This session has ended: ${heard.reason}.`;
    }
  }

  /** Connects again by itself, unless the session cannot be watched any more. */
  function lost(id: string, paint: Painter): void {
    const opened = store.phase === "live" || tries > 0;
    if (store.wheel === "you") {
      store.retaking = true;
      retakenBy = Date.now() + RETAKEN_MS;
    }
    drop();
    store.phase = "connecting";
    store.problem = opened
      ? "The connection to this session was lost."
      : "The live view did not open.";
    const wait = opened ? retries[tries] : undefined;
    tries += 1;
    if (wait !== undefined) timer = setTimeout(() => open(id, paint), wait);
    else giveUp();
    inspect(id).catch((cause: unknown) => {
      const error = toApiError(cause);
      if (error.kind === "unauthenticated") onUnauthenticated();
      if (error.status === null || socket || store.phase === "idle") return;
      if (FINAL.includes(error.status)) giveUp();
      if (store.phase === "over") store.problem = error.message;
    });
  }

  function giveUp(): void {
    clearTimeout(timer);
    store.retaking = false;
    store.phase = "over";
  }

  return store;
}

function unclipped(cause: unknown): string {
  // Browsers give pages over plain HTTP no clipboard at all.
  const why = cause instanceof Error ? ` (${cause.message})` : "";
  return `What you copied could not be put on this machine's clipboard${why}.`;
}
