/** The subprotocol of a session's live view: deployments/browser/live/api.py describes it. */
export const PROTOCOL = "autobot";

export type Button = "left" | "right" | "middle";
export type Holder = "you" | "person" | "agent";

/** One tab of a session, in the order they were opened. */
export interface LiveTab {
  url: string;
  newest: boolean;
}

/** A place on the page in its CSS pixels. */
export interface Point {
  x: number;
  y: number;
}

/** Of the page, in CSS pixels. */
export interface Size {
  width: number;
  height: number;
}

/** What a person does to the page. */
export type Input =
  | ({ type: "move" } & Point)
  | ({ type: "down" | "up"; button: Button; clicks: number } & Point)
  | ({ type: "wheel"; dx: number; dy: number } & Point)
  | { type: "key_down" | "key_up"; key: string }
  | { type: "text"; text: string };

export type Past = "back" | "forward" | "reload";

export type Said =
  | Input
  | { type: "ack" | "take" | "release" | "copy" }
  | { type: "goto"; url: string }
  | { type: "goto"; history: Past };

export type Heard =
  | ({ type: "screen" } & Size)
  | { type: "state"; wheel: Holder; tabs: LiveTab[] }
  | { type: "copied"; text: string }
  | { type: "refused" | "ended"; reason: string };

const record = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
const text = (value: unknown): string => (typeof value === "string" ? value : "");
const number = (value: unknown): number => (typeof value === "number" ? value : 0);

function parseTabs(json: unknown): LiveTab[] {
  const tabs = Array.isArray(json) ? json.map(record) : [];
  return tabs.map((tab) => ({ url: text(tab.url), newest: tab.newest === true }));
}

/** The address a person sees: of the newest tab, else of the last one. */
export function addressOf(tabs: readonly LiveTab[]): string {
  const shown = tabs.find((tab) => tab.newest) ?? tabs[tabs.length - 1];
  return shown?.url || "no page";
}

/** One JSON message of the server; null when this page does not know it. */
export function parseHeard(message: string): Heard | null {
  let json: unknown;
  try {
    json = JSON.parse(message);
  } catch {
    return null;
  }
  const body = record(json);
  switch (body.type) {
    case "screen": {
      const [width, height] = [number(body.width), number(body.height)];
      return width > 0 && height > 0 ? { type: "screen", width, height } : null;
    }
    case "state": {
      const wheel = body.wheel === "you" || body.wheel === "person" ? body.wheel : "agent";
      return { type: "state", wheel, tabs: parseTabs(body.tabs) };
    }
    case "copied":
      return { type: "copied", text: text(body.text) };
    case "refused":
    case "ended":
      return { type: body.type, reason: text(body.reason) };
    default:
      return null;
  }
}
