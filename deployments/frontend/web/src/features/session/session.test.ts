import { beforeEach, describe, expect, it } from "vitest";

import { createSession, readKey } from "./session";

class Memory {
  readonly items = new Map<string, string>();
  getItem = (name: string) => this.items.get(name) ?? null;
  setItem = (name: string, value: string) => void this.items.set(name, value);
  removeItem = (name: string) => void this.items.delete(name);
}

let tab: Memory;
let device: Memory;
beforeEach(() => {
  tab = new Memory();
  device = new Memory();
});

describe("session", () => {
  it("keeps the key for the tab alone unless asked to remember it", () => {
    createSession(tab, device).signIn("ab_1", false);
    expect([[...tab.items.values()], [...device.items.values()]]).toEqual([["ab_1"], []]);
    expect(createSession(tab, device).key.value).toBe("ab_1");
    expect(createSession(new Memory(), device).key.value).toBeNull();
  });

  it("finds a remembered key in a new tab", () => {
    createSession(tab, device).signIn("ab_1", true);
    expect(createSession(new Memory(), device).key.value).toBe("ab_1");
    expect(tab.items.size).toBe(0);
  });

  it("forgets the remembered key when the next sign-in is for the tab", () => {
    const session = createSession(tab, device);
    session.signIn("ab_1", true);
    session.signIn("ab_2", false);
    expect(device.items.size).toBe(0);
  });

  it("leaves nothing behind on sign-out and says why it ended", () => {
    const session = createSession(tab, device);
    session.signIn("ab_1", true);
    session.signOut("revoked");
    expect(tab.items.size + device.items.size).toBe(0);
    expect([session.key.value, session.notice.value]).toEqual([null, "revoked"]);
  });
});

describe("readKey", () => {
  it("drops the blanks around a pasted key", () => {
    expect(readKey("  ab_1\n")).toEqual({ key: "ab_1" });
  });

  it.each(["", "  ", "ab_1 ab_2", "ab_\u20ac"])("refuses %j with a reason", (pasted) => {
    expect(readKey(pasted)).toHaveProperty("problem");
  });
});
