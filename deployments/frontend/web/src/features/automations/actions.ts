import { ref, type Ref } from "vue";

import { askRun, decide, retryRun, type Decision } from "../../generated";
import { toApiError } from "../../lib/errors";
import { useSession } from "../session/store";
import { useRefresh } from "./queries";

const DEADLINE = 10_000;

export interface Actions {
  busy: Ref<boolean>;
  /** Why the last one failed, in the server's words. */
  problem: Ref<string>;
  /** Does `work` unless another is under way, and shows what has changed; null when it failed. */
  act<T>(work: (common: Common) => Promise<{ data: T }>): Promise<T | null>;
  ask(run: string, what: "cancel" | "pause" | "resume"): Promise<unknown>;
  answer(run: string, step: string, body: Decision): Promise<unknown>;
  retry(run: string, step: string | null): Promise<string | null>;
}

type Common = { client: ReturnType<typeof useSession>["client"]; signal: AbortSignal };

/** What a person does with automations and runs, one at a time. */
export function useActions(): Actions {
  const session = useSession();
  const refresh = useRefresh();
  const busy = ref(false);
  const problem = ref("");

  const act: Actions["act"] = async (work) => {
    if (busy.value) return null;
    busy.value = true;
    problem.value = "";
    try {
      return (await work({ client: session.client, signal: AbortSignal.timeout(DEADLINE) })).data;
    } catch (cause) {
      const error = toApiError(cause);
      if (error.kind === "unauthenticated") session.refused();
      problem.value = error.message;
      return null;
    } finally {
      busy.value = false;
      void refresh();
    }
  };

  return {
    busy,
    problem,
    act,
    ask: (run, what) => act((common) => askRun<true>({ ...common, path: { run, what } })),
    answer: (run, step, body) =>
      act((common) => decide<true>({ ...common, path: { run, step }, body })),
    async retry(run, step) {
      const query = step === null ? {} : { from: step };
      const started = await act((common) =>
        retryRun<true>({ ...common, path: { run }, query }),
      );
      return started?.id ?? null;
    },
  };
}
