import { useQuery, useQueryClient } from "@tanstack/vue-query";
import { computed, toValue, type MaybeRefOrGetter } from "vue";

import {
  getAutomation,
  getRun,
  listAutomations,
  listRuns,
  listRunsOf,
  type RunDetail,
  type RunInfo,
} from "../../generated";
import { toApiError } from "../../lib/errors";
import { useSession } from "../session/store";

export const ENDED: readonly RunInfo["state"][] = ["succeeded", "failed", "cancelled"];
const OPEN = ["running", "waiting", "paused", "queued"] as const;
/** Milliseconds between two looks at what changes by itself, while the tab is seen. */
const LOOK = 5000;
/** Of an answer: what is slower counts as away. */
const DEADLINE = 4000;
/** Runs of which the tray asks whether they wait for a person. */
const MOST_ASKED = 20;

/** Calls that tell the sign-in when the key is no longer accepted; each has a deadline. */
function useCalls() {
  const session = useSession();
  return async <T>(
    call: (
      common: { client: typeof session.client; signal: AbortSignal },
    ) => Promise<{ data: T }>,
    signal: AbortSignal,
  ): Promise<T> => {
    try {
      const bounded = AbortSignal.any([signal, AbortSignal.timeout(DEADLINE)]);
      return (await call({ client: session.client, signal: bounded })).data;
    } catch (cause) {
      const error = toApiError(cause);
      if (error.kind === "unauthenticated") session.refused();
      throw error;
    }
  };
}

/** Every automation, by name, with when it starts next. */
export function useAutomationList(enabled: MaybeRefOrGetter<boolean> = true) {
  const call = useCalls();
  return useQuery({
    queryKey: ["automations"],
    queryFn: ({ signal }) => call((common) => listAutomations<true>(common), signal),
    enabled: () => toValue(enabled),
    refetchInterval: LOOK,
  });
}

/** One automation with its draft. */
export function useAutomation(name: MaybeRefOrGetter<string | null>) {
  const call = useCalls();
  const wanted = computed(() => toValue(name));
  return useQuery({
    queryKey: ["automation", wanted],
    queryFn: ({ signal }) =>
      call(
        (common) => getAutomation<true>({ ...common, path: { name: wanted.value ?? "" } }),
        signal,
      ),
    enabled: () => wanted.value !== null,
  });
}

/** The newest runs of an automation. */
export function useRunsOf(name: MaybeRefOrGetter<string | null>, limit: number) {
  const call = useCalls();
  const wanted = computed(() => toValue(name));
  return useQuery({
    queryKey: ["runs", wanted, limit],
    queryFn: ({ signal }) =>
      call(
        (common) =>
          listRunsOf<true>({ ...common, path: { name: wanted.value ?? "" }, query: { limit } }),
        signal,
      ),
    enabled: () => wanted.value !== null,
    refetchInterval: LOOK,
  });
}

/** The newest runs of all automations. */
export function useLatestRuns() {
  const call = useCalls();
  return useQuery({
    queryKey: ["runs", "latest"],
    queryFn: ({ signal }) =>
      call((common) => listRuns<true>({ ...common, query: { limit: 200 } }), signal),
    refetchInterval: LOOK,
  });
}

/** A run with what has become of its steps, as the server sums its journal up. */
export function useRun(run: MaybeRefOrGetter<string>) {
  const call = useCalls();
  const wanted = computed(() => toValue(run));
  return useQuery({
    queryKey: ["run", wanted],
    queryFn: ({ signal }) =>
      call((common) => getRun<true>({ ...common, path: { run: wanted.value } }), signal),
    // The state of a run changes after the entry that asked for it, and is no entry itself.
    refetchInterval: ({ state }) => (state.data && ENDED.includes(state.data.state) ? false : 2000),
  });
}

/** A run in progress; `detail` is known of those that may wait for a person. */
export interface OpenRun extends RunInfo {
  detail: RunDetail | null;
}

/** Every run in progress, the newest first. */
export function useOpenRuns() {
  const call = useCalls();
  return useQuery({
    queryKey: ["runs", "open"],
    queryFn: async ({ signal }): Promise<OpenRun[]> => {
      const listed = await Promise.all(
        OPEN.map((state) =>
          call((common) => listRuns<true>({ ...common, query: { state } }), signal),
        ),
      );
      const runs = listed.flat().sort((a, b) => b.created.localeCompare(a.created));
      const waiting = runs.filter(({ state }) => state === "waiting").slice(0, MOST_ASKED);
      const details = await Promise.allSettled(
        waiting.map(({ id }) =>
          call((common) => getRun<true>({ ...common, path: { run: id } }), signal),
        ),
      );
      const known = new Map(
        details.flatMap((it) => (it.status === "fulfilled" ? [[it.value.id, it.value]] : [])),
      );
      return runs.map((run) => ({ ...run, detail: known.get(run.id) ?? null }));
    },
    refetchInterval: LOOK,
    retry: false,
  });
}

/** Has everything that shows automations or runs look again. */
export function useRefresh(): () => Promise<void> {
  const queries = useQueryClient();
  return async () => {
    const keys = ["automations", "automation", "runs", "run"];
    await Promise.all(keys.map((key) => queries.invalidateQueries({ queryKey: [key] })));
  };
}
