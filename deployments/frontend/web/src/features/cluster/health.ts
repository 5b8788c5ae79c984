import { reactive } from "vue";

import type { PlatformHealth, RoomHealth } from "../../generated";
import { toApiError, type ApiError } from "../../lib/errors";
import { span } from "../../lib/format";
import { ROOMS } from "./rooms";

export type State = RoomHealth["state"] | "unknown";

/** connecting: nothing heard yet; live: main answers; unreachable: it does not; hidden: key may not look. */
export type Link = "connecting" | "live" | "unreachable" | "hidden";

/** A room as it is shown; `latency` is in milliseconds. */
export interface RoomView {
  name: string;
  state: State;
  reason: string | null;
  latency: number | null;
  address: string | null;
  node: string | null;
  replicas: number | null;
  device: string | null;
  models: string[];
  version: string | null;
  /** Start of the present state, epoch milliseconds. */
  from: number | null;
  /** Latest latencies in milliseconds, oldest first; null where a probe had no answer. */
  history: (number | null)[];
}

export interface HealthStore {
  link: Link;
  /** When main stopped answering, and why it is thought so. */
  outage: { from: number; reason: string } | null;
  state: State;
  version: string | null;
  rooms: RoomView[];
}

export interface HealthOptions {
  read: (signal: AbortSignal) => Promise<PlatformHealth>;
  onUnauthenticated: () => void;
  now?: () => number;
  /** Milliseconds between two polls, and the longest that one may take. */
  interval?: number;
  deadline?: number;
}

const HISTORY = 40;
const NOTHING: Omit<RoomView, "name" | "history"> = {
  state: "unknown",
  from: null,
  reason: null,
  latency: null,
  address: null,
  node: null,
  replicas: null,
  device: null,
  models: [],
  version: null,
};

export interface HealthMonitor {
  store: HealthStore;
  start(): void;
  stop(): void;
  /** Polls at once instead of at the next tick. */
  wake(): void;
}

/** Polls the platform's health for ever, one poll at a time, and keeps what the page shows of it. */
export function createHealthMonitor(options: HealthOptions): HealthMonitor {
  const { read, onUnauthenticated, now = Date.now, interval = 2000, deadline = 4000 } = options;
  const store = reactive<HealthStore>({
    link: "connecting",
    outage: null,
    state: "unknown",
    version: null,
    rooms: ROOMS.map(unseen),
  });
  let running: AbortController | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;

  async function poll(): Promise<void> {
    const controller = new AbortController();
    running = controller;
    const late = new DOMException("deadline", "TimeoutError");
    const alarm = setTimeout(() => controller.abort(late), deadline);
    const started = now();
    try {
      const health = await read(controller.signal);
      if (running === controller) heard(store, health);
    } catch (cause) {
      if (running !== controller) return;
      const error = controller.signal.aborted ? toApiError(late) : toApiError(cause);
      if (error.kind === "unauthenticated") return onUnauthenticated();
      missed(store, error, started, deadline);
    } finally {
      clearTimeout(alarm);
      if (running === controller) {
        running = null;
        timer = setTimeout(poll, Math.max(0, interval - (now() - started)));
      }
    }
  }

  function stop(): void {
    clearTimeout(timer);
    const controller = running;
    running = null;
    controller?.abort();
  }

  return {
    store,
    stop,
    start: () => void poll(),
    wake() {
      if (running) return;
      clearTimeout(timer);
      void poll();
    },
  };
}

const unseen = (name: string): RoomView => ({ ...NOTHING, name, history: [] });

function heard(store: HealthStore, health: PlatformHealth): void {
  const shown = new Set(store.rooms.map((room) => room.name));
  store.rooms.push(...Object.keys(health.rooms).filter((name) => !shown.has(name)).map(unseen));
  store.link = "live";
  store.outage = null;
  store.state = health.state;
  store.version = health.version;
  for (const room of store.rooms) {
    const known = health.rooms[room.name];
    const shown = known ? shownAs(known) : { ...NOTHING, reason: "main does not list this room" };
    Object.assign(room, shown);
    room.history = [...room.history, shown.latency].slice(-HISTORY);
  }
}

function shownAs(room: RoomHealth): Omit<RoomView, "name" | "history"> {
  const from = Date.parse(room.since);
  return {
    state: room.state,
    from: Number.isNaN(from) ? null : from,
    reason: room.reason ?? null,
    latency: room.latency_ms ?? null,
    address: room.node?.address ?? null,
    node: room.node?.id ?? null,
    replicas: room.replicas ?? null,
    device: room.device ?? null,
    models: room.models ?? [],
    version: room.version ?? null,
  };
}

function missed(store: HealthStore, error: ApiError, at: number, deadline: number): void {
  store.state = "unknown";
  if (error.kind === "forbidden") {
    store.link = "hidden";
    store.outage = null;
    forget(store, null);
    return;
  }
  const reason = error.kind === "timeout" ? `No answer within ${span(deadline)}.` : error.message;
  store.link = "unreachable";
  store.outage = { from: store.outage?.from ?? at, reason };
  forget(store, store.outage.from);
}

/** What was true of the rooms may no longer be: say so instead of leaving old green lights on. */
function forget(store: HealthStore, from: number | null): void {
  for (const room of store.rooms) {
    if (room.state !== "unknown") room.reason = `last seen ${room.state}`;
    Object.assign(room, { state: "unknown", from, latency: null });
    room.history = [...room.history, null].slice(-HISTORY);
  }
}

/** The whole platform in one line, for the top bar and for screen readers. */
export function summary(store: HealthStore): { state: State; text: string } {
  if (store.link === "connecting") return { state: "unknown", text: "Connecting" };
  if (store.link === "unreachable") return { state: "down", text: "main unreachable" };
  if (store.link === "hidden") return { state: "unknown", text: "Rooms hidden from this key" };
  const ill = store.rooms.filter((room) => room.state !== "ok");
  if (ill.length === 0) return { state: store.state, text: `All ${store.rooms.length} rooms ok` };
  const named = ill.map((room) => `${room.name} ${room.state}`).join(", ");
  const text = ill.length <= 2 ? named : `${ill.length} of ${store.rooms.length} rooms need attention`;
  return { state: store.state === "ok" ? "degraded" : store.state, text };
}
