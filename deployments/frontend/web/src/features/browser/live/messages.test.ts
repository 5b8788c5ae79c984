import { describe, expect, it } from "vitest";

import { addressOf, parseHeard } from "./messages";

describe("parseHeard", () => {
  it("reads what the server says", () => {
    const tabs = [{ tab: 0, url: "https://example.org/", newest: true }];
    expect(parseHeard(JSON.stringify({ type: "state", wheel: "you", tabs }))).toEqual({
      type: "state",
      wheel: "you",
      tabs: [{ url: "https://example.org/", newest: true }],
    });
    expect(parseHeard('{"type": "screen", "width": 640, "height": 480}')).toEqual({
      type: "screen",
      width: 640,
      height: 480,
    });
    expect(parseHeard('{"type": "ended", "reason": "it was closed"}')).toEqual({
      type: "ended",
      reason: "it was closed",
    });
  });

  it.each(["", "[]", "null", '{"type": "later"}', '{"type": "screen", "width": 0, "height": 1}'])(
    "passes over %j",
    (message) => expect(parseHeard(message)).toBeNull(),
  );

  it("gives the wheel to nobody that it does not know", () => {
    expect(parseHeard('{"type": "state", "wheel": "me"}')).toMatchObject({ wheel: "agent" });
  });
});

describe("sessions", () => {
  it("are known by the address of their newest tab", () => {
    const tabs = [
      { url: "https://a/", newest: true },
      { url: "https://b/", newest: false },
    ];
    expect(addressOf(tabs)).toBe("https://a/");
    expect(addressOf([{ url: "https://b/", newest: false }])).toBe("https://b/");
    expect(addressOf([])).toBe("no page");
  });
});
