import { createClient, createConfig, type Client } from "../generated/client";
import { errorOf, toApiError } from "./errors";

/** What `/config.json` says: where the page finds the platform. */
export interface Config {
  api: string;
  desktop: string;
}

export async function loadConfig(signal: AbortSignal): Promise<Config> {
  const response = await fetch("/config.json", { signal, cache: "no-store" });
  if (!response.ok) throw new Error(`/config.json answered ${response.status}`);
  return (await response.json()) as Config;
}

/** The client that the generated functions are called with; whatever fails is an `ApiError`. */
export function connect(
  base: string,
  key: string,
  send: (request: Request) => Promise<Response> = (request) => fetch(request),
): Client {
  return createClient(
    createConfig({
      baseUrl: base,
      headers: { authorization: `Bearer ${key}` },
      credentials: "omit",
      cache: "no-store",
      throwOnError: true,
      async fetch(input) {
        let response: Response;
        try {
          response = await send(new Request(input));
        } catch (cause) {
          throw toApiError(cause);
        }
        if (!response.ok) throw await errorOf(response);
        return response;
      },
    }),
  );
}

export interface Provenance {
  room: string | null;
  node: string | null;
  device: string | null;
  model: string | null;
  engine: string | null;
}

/** Who really answered, from the `x-autobot-*` headers that the ingress exposes to this origin. */
export function provenance(headers: Headers): Provenance {
  const of = (name: string) => headers.get(`x-autobot-${name}`);
  return {
    room: of("room"),
    node: of("node"),
    device: of("device"),
    model: of("model"),
    engine: of("engine"),
  };
}
