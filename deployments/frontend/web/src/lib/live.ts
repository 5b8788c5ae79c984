import { number, parseTabs, record, text, type Tab } from "./types";

/** The subprotocol of a session's live view: deployments/browser/live/api.py describes it. */
export const PROTOCOL = "autobot";

export type Button = "left" | "right" | "middle";
export type Holder = "you" | "person" | "agent";

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
  | { type: "state"; wheel: Holder; tabs: Tab[] }
  | { type: "copied"; text: string }
  | { type: "refused" | "ended"; reason: string };

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
      const [width, height] = [number(body.width) ?? 0, number(body.height) ?? 0];
      return width > 0 && height > 0 ? { type: "screen", width, height } : null;
    }
    case "state": {
      const wheel = body.wheel === "you" || body.wheel === "person" ? body.wheel : "agent";
      return { type: "state", wheel, tabs: parseTabs(body.tabs) };
    }
    case "copied":
      return { type: "copied", text: text(body.text) ?? "" };
    case "refused":
    case "ended":
      return { type: body.type, reason: text(body.reason) ?? "" };
    default:
      return null;
  }
}
