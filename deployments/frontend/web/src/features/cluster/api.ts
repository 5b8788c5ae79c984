import { health, type PlatformHealth } from "../../generated";
import type { Client } from "../../generated/client";
import { ApiError, toApiError } from "../../lib/errors";

/** All rooms. A key that the platform does not know is an `unauthenticated` error. */
export async function readHealth(client: Client, signal: AbortSignal): Promise<PlatformHealth> {
  let answer: unknown;
  try {
    answer = (await health<true>({ client, signal, parseAs: "json" })).data;
  } catch (cause) {
    if (cause instanceof SyntaxError)
      throw new ApiError("unreachable", "What answers there is not AutoBot.");
    throw toApiError(cause);
  }
  if (typeof answer === "object" && answer !== null && "rooms" in answer)
    return answer as PlatformHealth;
  throw new ApiError("unauthenticated", "This key is not accepted.");
}
