import { beforeEach, describe, expect, it } from "vitest";

import { BLANK, copies, Keyboard, pastes, stroke } from "./keyboard";
import type { Input } from "./messages";

const pressed = (key: string, more: Record<string, unknown> = {}) => ({
  key,
  code: `Key${key.toUpperCase()}`,
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  isComposing: false,
  getModifierState: (name: string) => more.graph === true && name === "AltGraph",
  ...more,
});

describe("stroke", () => {
  it.each(["a", "A", "7", " ", "~", "Enter", "ArrowLeft", "Shift", "F5"])("names %j", (key) => {
    expect(stroke(pressed(key))).toEqual({ key });
  });

  it.each(["é", "ß", "я", "日", "😀"])("writes %j, which is on no US keyboard", (key) => {
    expect(stroke(pressed(key))).toEqual({ text: key });
  });

  it.each(["Dead", "Process", "Unidentified", "CapsLock", "AltGraph", "MediaPlayPause", ""])(
    "keeps %j to itself",
    (key) => expect(stroke(pressed(key))).toBeNull(),
  );

  it("writes what AltGr makes, instead of a shortcut", () => {
    expect(stroke(pressed("@", { ctrlKey: true, graph: true }))).toEqual({ text: "@" });
  });

  it("leaves a word that is being composed and foreign shortcuts alone", () => {
    expect(stroke(pressed("a", { isComposing: true }))).toBeNull();
    expect(stroke(pressed("я", { ctrlKey: true }))).toBeNull();
  });
});

it("tells pasting from other shortcuts", () => {
  expect(pastes(pressed("v", { ctrlKey: true }))).toBe(true);
  expect(pastes(pressed("V", { metaKey: true }))).toBe(true);
  expect(pastes(pressed("v"))).toBe(false);
  expect(pastes(pressed("c", { ctrlKey: true }))).toBe(false);
});

it("tells copying and cutting from other shortcuts", () => {
  expect(copies(pressed("c", { ctrlKey: true }))).toBe(true);
  expect(copies(pressed("X", { metaKey: true }))).toBe(true);
  expect(copies(pressed("c"))).toBe(false);
  expect(copies(pressed("c", { ctrlKey: true, altKey: true }))).toBe(false);
});

describe("Keyboard", () => {
  let sent: Input[];
  let keyboard: Keyboard;
  beforeEach(() => {
    sent = [];
    keyboard = new Keyboard((input) => sent.push(input));
  });

  it("releases a key by the name it was pressed with", () => {
    keyboard.down(pressed("Shift", { code: "ShiftLeft" }));
    keyboard.down(pressed("A"));
    keyboard.up({ key: "Shift", code: "ShiftLeft" });
    keyboard.up({ key: "a", code: "KeyA" });
    expect(sent).toEqual([
      { type: "key_down", key: "Shift" },
      { type: "key_down", key: "A" },
      { type: "key_up", key: "Shift" },
      { type: "key_up", key: "A" },
    ]);
  });

  it("says which keys it took", () => {
    expect(keyboard.down(pressed("Tab"))).toBe(true);
    expect(keyboard.down(pressed("é"))).toBe(true);
    expect(keyboard.down(pressed("Dead"))).toBe(false);
  });

  it("lets go what is held when it rests, and once", () => {
    keyboard.down(pressed("Control", { code: "ControlLeft" }));
    keyboard.down(pressed("a", { ctrlKey: true }));
    keyboard.rest();
    keyboard.up({ key: "a", code: "KeyA" });
    expect(sent.slice(2)).toEqual([
      { type: "key_up", key: "a" },
      { type: "key_up", key: "Control" },
    ]);
  });

  it("lets everything go with the key that hides the releases of others", () => {
    keyboard.down(pressed("Meta", { code: "MetaLeft" }));
    keyboard.down(pressed("c", { metaKey: true }));
    keyboard.up({ key: "Meta", code: "MetaLeft" });
    expect(sent.filter((input) => input.type === "key_up")).toHaveLength(2);
  });

  it("pastes long text in pieces, and no half characters", () => {
    keyboard.paste("");
    expect(sent).toEqual([]);
    const long = "😀".repeat(10_001);
    keyboard.paste(long);
    const pieces = sent.map((input) => (input.type === "text" ? input.text : ""));
    expect(pieces.map((piece) => [...piece].length)).toEqual([10_000, 1]);
    expect(pieces.join("")).toBe(long);
  });

  it.each<[string, Input[]]>([
    ["", [{ type: "key_down", key: "Backspace" }, { type: "key_up", key: "Backspace" }]],
    [`${BLANK}日本`, [{ type: "text", text: "日本" }]],
    ["all replaced", [{ type: "text", text: "all replaced" }]],
    [
      `${BLANK}a\nb`,
      [
        { type: "text", text: "a" },
        { type: "key_down", key: "Enter" },
        { type: "key_up", key: "Enter" },
        { type: "text", text: "b" },
      ],
    ],
  ])("takes %j of a text field for what was written", (value, told) => {
    keyboard.written(value);
    expect(sent).toEqual(told);
  });
});
