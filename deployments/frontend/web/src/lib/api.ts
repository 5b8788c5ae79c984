import { ApiError, errorOf, toApiError } from "./errors";
import { PROTOCOL } from "./live";
import {
  parseHealth,
  parseSession,
  parseSessions,
  type BrowserSession,
  type Config,
  type Health,
  type SessionList,
} from "./types";

const SESSIONS = "/api/browser/sessions";
/** Seconds a session that a person opened may lie idle: people pause for longer than programs. */
const IDLE_S = 1800;

export interface ChatTurn {
  role: "user" | "assistant";
  content: string;
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

export async function loadConfig(signal: AbortSignal): Promise<Config> {
  const response = await fetch("/config.json", { signal, cache: "no-store" });
  if (!response.ok) throw new Error(`/config.json answered ${response.status}`);
  return (await response.json()) as Config;
}

/** The platform's API as this page uses it. Every method throws ApiError. */
export class Api {
  constructor(
    readonly base: string,
    private readonly key: string,
  ) {}

  /** All six rooms. A key that the platform does not know is an `unauthenticated` error. */
  async health(signal: AbortSignal): Promise<Health> {
    const response = await this.call("/api/health", { signal, cache: "no-store" });
    try {
      const health = parseHealth(await response.json());
      if (health) return health;
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw toApiError(cause);
      throw new ApiError("unreachable", "What answers there is not AutoBot.");
    }
    throw new ApiError("unauthenticated", "This key is not accepted.");
  }

  async chat(messages: ChatTurn[], signal: AbortSignal): Promise<Response> {
    return this.post("/v1/chat/completions", signal, {
      model: "default",
      messages,
      stream: true,
      stream_options: { include_usage: true },
    });
  }

  async screenshot(url: string, signal: AbortSignal): Promise<Response> {
    return this.post("/api/browser/screenshot", signal, { url });
  }

  async sessions(signal: AbortSignal): Promise<SessionList> {
    const response = await this.call(SESSIONS, { signal, cache: "no-store" });
    return parseSessions(await json(response));
  }

  async openSession(signal: AbortSignal): Promise<BrowserSession> {
    const response = await this.post(SESSIONS, signal, { idle_s: IDLE_S });
    const session = parseSession(await json(response));
    if (session) return session;
    throw new ApiError("refused", "What came back is not a session.");
  }

  /** Returns when the page begins to show; how it goes on is seen live. */
  async goto(id: string, url: string, signal: AbortSignal): Promise<void> {
    await this.post(`${pathOf(id)}/goto`, signal, { url, wait_until: "commit" });
  }

  /** Fails with the reason when the session is not there to be watched. */
  async inspectSession(id: string, signal: AbortSignal): Promise<void> {
    await this.call(pathOf(id), { signal, cache: "no-store" });
  }

  async closeSession(id: string, signal: AbortSignal): Promise<void> {
    await this.call(pathOf(id), { method: "DELETE", signal });
  }

  /** The live view of a session. The key goes as a subprotocol, which is in no address and no log. */
  watch(id: string): WebSocket {
    const address = `${this.base.replace(/^http/, "ws")}${pathOf(id)}/live`;
    return new WebSocket(address, [PROTOCOL, `${PROTOCOL}.key.${this.key}`]);
  }

  private post(path: string, signal: AbortSignal, body: unknown): Promise<Response> {
    const headers = { "content-type": "application/json" };
    return this.call(path, { method: "POST", signal, headers, body: JSON.stringify(body) });
  }

  private async call(path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set("authorization", `Bearer ${this.key}`);
    let response: Response;
    try {
      response = await fetch(this.base + path, { ...init, headers, credentials: "omit" });
    } catch (cause) {
      throw toApiError(cause);
    }
    if (!response.ok) throw await errorOf(response);
    return response;
  }
}

const pathOf = (id: string) => `${SESSIONS}/${encodeURIComponent(id)}`;

async function json(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw toApiError(cause);
    throw new ApiError("refused", "What came back is not JSON.");
  }
}
