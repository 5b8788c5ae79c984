import {
  browserScreenshot,
  closeSession,
  inspectSession,
  listSessions,
  openSession,
  sessionGoto,
  type SessionInfo,
  type SessionList,
} from "../../generated";
import type { Client } from "../../generated/client";
import { PROTOCOL } from "./live/messages";

/** Seconds a session that a person opened may lie idle: people pause for longer than programs. */
const IDLE_S = 1800;

export async function takeScreenshot(
  client: Client,
  url: string,
  signal: AbortSignal,
): Promise<Response> {
  const options = { client, signal, parseAs: "stream", body: { url } } as const;
  return (await browserScreenshot<true>(options)).response;
}

export async function sessionsOf(client: Client, signal: AbortSignal): Promise<SessionList> {
  return (await listSessions<true>({ client, signal })).data;
}

export async function newSession(client: Client, signal: AbortSignal): Promise<SessionInfo> {
  return (await openSession<true>({ client, signal, body: { idle_s: IDLE_S } })).data;
}

/** Returns when the page begins to show; how it goes on is seen live. */
export async function visit(
  client: Client,
  session: string,
  url: string,
  signal: AbortSignal,
): Promise<void> {
  const body = { url, wait_until: "commit" } as const;
  await sessionGoto<true>({ client, signal, path: { session }, body });
}

/** Fails with the reason when the session is not there to be watched. */
export async function inspect(client: Client, session: string, signal: AbortSignal): Promise<void> {
  await inspectSession<true>({ client, signal, path: { session } });
}

export async function endSession(
  client: Client,
  session: string,
  signal: AbortSignal,
): Promise<void> {
  await closeSession<true>({ client, signal, path: { session } });
}

/** The live view of a session. The key goes as a subprotocol, which is in no address and no log. */
export function watchSession(base: string, key: string, session: string): WebSocket {
  const path = `/api/browser/sessions/${encodeURIComponent(session)}/live`;
  return new WebSocket(base.replace(/^http/, "ws") + path, [PROTOCOL, `${PROTOCOL}.key.${key}`]);
}
