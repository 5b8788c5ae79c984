import type { Client } from "../../../generated/client";

/**
 * A run's journal after entry number `after`, as it grows. The generated `runEvents` would try again
 * for ever whatever the answer was; `createFollower` tells what another try can change.
 */
export async function journalOf(
  client: Client,
  run: string,
  after: number,
  signal: AbortSignal,
): Promise<Response> {
  const answer = await client.get<unknown, unknown, true>({
    url: "/api/runs/{run}/events",
    path: { run },
    headers: { "last-event-id": String(after) },
    parseAs: "stream",
    signal,
  });
  return answer.response;
}
