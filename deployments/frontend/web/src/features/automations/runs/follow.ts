import { reactive } from "vue";

import { ApiError, toApiError } from "../../../lib/errors";
import { readSse } from "../../../lib/sse";

/** One entry of a run's journal, as `/api/runs/{run}/events` sends it. */
export interface JournalEntry {
  number: number;
  kind: string;
  at: string;
  step: string | null;
  iteration: number | null;
  body: Record<string, unknown>;
}

/** lost: the connection is gone and is made again; over: nothing follows, or nothing may be seen. */
export type Following = "idle" | "connecting" | "live" | "lost" | "over";

export interface Follower {
  phase: Following;
  /** The newest entries, oldest first. */
  entries: JournalEntry[];
  /** How many older ones are left out of `entries`. */
  leftOut: number;
  problem: string;
  start(): void;
  stop(): void;
}

export interface FollowOptions {
  /** The stream of what comes after entry number `after`. */
  open: (after: number, signal: AbortSignal) => Promise<Response>;
  onEntry: (entry: JournalEntry) => void;
  onUnauthenticated: () => void;
  /** Milliseconds to wait before each try to connect again; the last one is kept to. */
  retries?: readonly number[];
  /** A connection that says nothing for so long is made anew: it may be a dead one. */
  patience?: number;
}

const RETRIES = [300, 1000, 2000, 5000];
const PATIENCE = 60_000;
const MOST = 500;
/** What another try would not change. */
const FINAL = [401, 403, 404, 410];

/** Follows a run's journal to its end over any number of connections, each entry once. */
export function createFollower(options: FollowOptions): Follower {
  const { open, onEntry, onUnauthenticated, retries = RETRIES, patience = PATIENCE } = options;
  let last = 0;
  let failures = 0;
  let connection: AbortController | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const follower: Follower = reactive({
    phase: "idle",
    entries: [],
    leftOut: 0,
    problem: "",
    start() {
      follower.stop();
      void follow();
    },
    stop() {
      clearTimeout(timer);
      connection?.abort();
      connection = null;
      follower.phase = "idle";
    },
  });

  async function follow(): Promise<void> {
    const mine = (connection = new AbortController());
    const current = () => connection === mine;
    const silence = new ApiError("timeout", "Nothing was heard for long.");
    let alarm = setTimeout(() => mine.abort(silence), patience);
    const alive = () => {
      clearTimeout(alarm);
      alarm = setTimeout(() => mine.abort(silence), patience);
    };
    if (follower.phase !== "lost") follower.phase = "connecting";
    try {
      const { body } = await open(last, mine.signal);
      if (!body) throw new ApiError("refused", "The answer was empty.");
      if (current()) follower.phase = "live";
      for await (const event of readSse(body, alive)) {
        if (!current()) return;
        follower.problem = "";
        failures = 0;
        const entry = take(event.id, event.event, event.data);
        if (entry?.kind === "ended") return finish("");
      }
      if (current()) again("");
    } catch (cause) {
      if (current()) failed(toApiError(mine.signal.reason === silence ? silence : cause));
    } finally {
      clearTimeout(alarm);
    }
  }

  function take(id: string | undefined, kind: string, data: string): JournalEntry | null {
    const number = Number(id);
    if (!(number > last)) return null;
    last = number;
    const entry = entryOf(number, kind, data);
    follower.entries.push(entry);
    if (follower.entries.length > MOST) {
      follower.entries.shift();
      follower.leftOut += 1;
    }
    onEntry(entry);
    return entry;
  }

  function failed(error: ApiError): void {
    if (error.kind === "unauthenticated") onUnauthenticated();
    if (error.status !== null && FINAL.includes(error.status)) finish(error.message);
    else again(error.message);
  }

  function again(problem: string): void {
    follower.phase = "lost";
    follower.problem = problem;
    const wait = retries[Math.min(failures, retries.length - 1)] ?? 0;
    failures += 1;
    timer = setTimeout(() => void follow(), wait);
  }

  function finish(problem: string): void {
    connection = null;
    follower.phase = "over";
    follower.problem = problem;
  }

  return follower;
}

function entryOf(number: number, kind: string, data: string): JournalEntry {
  let body: Record<string, unknown> = {};
  try {
    body = JSON.parse(data) as Record<string, unknown>;
  } catch {
    // What cannot be read is shown by its kind.
  }
  return {
    number,
    kind,
    at: typeof body.at === "string" ? body.at : "",
    step: typeof body.step === "string" ? body.step : null,
    iteration: typeof body.iteration === "number" ? body.iteration : null,
    body,
  };
}
