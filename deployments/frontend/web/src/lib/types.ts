/** The rooms that come along, in the order they are always shown; an owner's own follow them. */
export const ROOMS = ["main", "frontend", "npu", "redis", "llm", "browser"] as const;

export const PURPOSES: Record<string, string> = {
  main: "API, ingress, desktop",
  frontend: "this page",
  npu: "embeddings, OCR",
  redis: "all stored data",
  llm: "chat models",
  browser: "web pages",
};

export type State = "ok" | "degraded" | "down" | "unknown";

/** What `/config.json` says: where the page finds the platform. */
export interface Config {
  api: string;
  desktop: string;
}

/** One room as `GET /api/health` reports it. `latency` is in milliseconds. */
export interface RoomHealth {
  state: State;
  since: string | null;
  reason: string | null;
  latency: number | null;
  address: string | null;
  node: string | null;
  replicas: number | null;
  device: string | null;
  models: string[];
  version: string | null;
}

export interface Health {
  state: State;
  version: string | null;
  rooms: Record<string, RoomHealth>;
}

export type Json = Record<string, unknown>;

export const record = (value: unknown): Json =>
  typeof value === "object" && value !== null ? (value as Json) : {};
export const text = (value: unknown): string | null => (typeof value === "string" ? value : null);
export const number = (value: unknown): number | null => (typeof value === "number" ? value : null);
const state = (value: unknown): State =>
  value === "ok" || value === "degraded" || value === "down" ? value : "unknown";

/** Health from untrusted JSON; null when it is the keyless answer, which names no rooms. */
export function parseHealth(json: unknown): Health | null {
  const body = record(json);
  if (typeof body.rooms !== "object" || body.rooms === null) return null;
  const rooms: Health["rooms"] = {};
  for (const [name, found] of Object.entries(record(body.rooms))) {
    rooms[name] = parseRoom(record(found));
  }
  return { state: state(body.state), version: text(body.version), rooms };
}

function parseRoom(room: Json): RoomHealth {
  const node = record(room.node);
  const models = Array.isArray(room.models) ? room.models : [];
  return {
    state: state(room.state),
    since: text(room.since),
    reason: text(room.reason),
    latency: number(room.latency_ms),
    address: text(node.address),
    node: text(node.id),
    replicas: number(room.replicas),
    device: text(room.device),
    models: models.filter((model) => typeof model === "string"),
    version: text(room.version),
  };
}

/** One tab of a browser session, in the order they were opened. */
export interface Tab {
  url: string;
  newest: boolean;
}

/** An open session as `GET /api/browser/sessions` lists it. */
export interface BrowserSession {
  id: string;
  /** Seconds until it ends however busy it is. */
  expires: number;
  wheel: "person" | "agent";
  viewers: number;
  tabs: Tab[];
}

export interface SessionList {
  sessions: BrowserSession[];
  /** Addresses of the room's VMs whose sessions are missing in it. */
  unreachable: string[];
}

export function parseTabs(json: unknown): Tab[] {
  const tabs = Array.isArray(json) ? json.map(record) : [];
  return tabs.map((tab) => ({ url: text(tab.url) ?? "", newest: tab.newest === true }));
}

/** The list from untrusted JSON, without what is no session. */
export function parseSessions(json: unknown): SessionList {
  const { sessions, unreachable } = record(json);
  const listed = Array.isArray(sessions) ? sessions.map(parseSession) : [];
  const silent = Array.isArray(unreachable) ? unreachable.map(text) : [];
  return {
    sessions: listed.filter((one) => one !== null),
    unreachable: silent.filter((one) => one !== null),
  };
}

/** A session from untrusted JSON; null when it has no id to be asked for by. */
export function parseSession(json: unknown): BrowserSession | null {
  const body = record(json);
  const id = text(body.id);
  if (id === null || id === "") return null;
  return {
    id,
    expires: number(body.expires_in_s) ?? 0,
    wheel: body.wheel === "person" ? "person" : "agent",
    viewers: number(body.viewers) ?? 0,
    tabs: parseTabs(body.tabs),
  };
}

/** The address a person sees: of the newest tab, else of the last one. */
export function addressOf(tabs: Tab[]): string {
  const shown = tabs.find((tab) => tab.newest) ?? tabs[tabs.length - 1];
  return shown?.url || "no page";
}
