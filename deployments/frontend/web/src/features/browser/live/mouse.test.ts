import { beforeEach, describe, expect, it } from "vitest";

import type { Input } from "./messages";
import { buttonName, Mouse, pagePoint, turned } from "./mouse";

const PAGE = { width: 1280, height: 720 };
const BOX = { left: 100, top: 50, width: 640, height: 360 };
const at = (clientX: number, clientY: number) => ({ clientX, clientY });

describe("pagePoint", () => {
  it("scales from the picture to the page", () => {
    expect(pagePoint(at(100, 50), BOX, PAGE)).toEqual({ x: 0, y: 0 });
    expect(pagePoint(at(420, 230), BOX, PAGE)).toEqual({ x: 640, y: 360 });
    expect(pagePoint(at(101.3, 50), BOX, PAGE)).toEqual({ x: 2.6, y: 0 });
  });

  it("keeps a drag that left the picture at the page's edge", () => {
    expect(pagePoint(at(-500, 9000), BOX, PAGE)).toEqual({ x: 0, y: 719 });
    expect(pagePoint(at(9000, -500), BOX, PAGE)).toEqual({ x: 1279, y: 0 });
  });

  it("survives a picture that is not shown", () => {
    expect(pagePoint(at(5, 5), { left: 0, top: 0, width: 0, height: 0 }, PAGE)).toEqual({
      x: 0,
      y: 0,
    });
  });
});

it("names the buttons that the server knows", () => {
  expect([0, 1, 2, 3].map(buttonName)).toEqual(["left", "middle", "right", null]);
});

it.each([
  ["pixels", 0, 3, 3],
  ["lines", 1, 3, 120],
  ["pages", 2, 1, 720],
  ["more than the server takes", 2, 9999, 100_000],
])("counts a turn of the wheel in %s", (_, deltaMode, deltaY, dy) => {
  expect(turned({ ...at(0, 0), deltaX: 0, deltaY, deltaMode }, PAGE)).toEqual({ dx: 0, dy });
});

describe("Mouse", () => {
  let sent: Input[];
  let frames: (() => void)[];
  let mouse: Mouse;
  const frame = () => frames.splice(0).forEach((work) => work());
  const press = (button: number, detail = 1) => ({ ...at(0, 0), button, detail });

  beforeEach(() => {
    sent = [];
    frames = [];
    mouse = new Mouse(
      (input) => sent.push(input),
      (work) => frames.push(work),
    );
  });

  it("sends the last of many moves once per frame", () => {
    for (let x = 0; x < 50; x++) mouse.move({ x, y: 1 });
    expect([sent.length, frames.length]).toEqual([0, 1]);
    frame();
    expect(sent).toEqual([{ type: "move", x: 49, y: 1 }]);
    frame();
    expect(sent).toHaveLength(1);
  });

  it("adds up the turns of the wheel within a frame", () => {
    const turn = { ...at(0, 0), deltaX: 0, deltaY: 30, deltaMode: 0 };
    mouse.scroll({ x: 5, y: 6 }, turn, PAGE);
    mouse.scroll({ x: 5, y: 6 }, turn, PAGE);
    frame();
    expect(sent).toEqual([{ type: "wheel", x: 5, y: 6, dx: 0, dy: 60 }]);
  });

  it("tells a double click, and keeps what came before a press before it", () => {
    mouse.move({ x: 1, y: 1 });
    mouse.down({ x: 2, y: 2 }, press(0, 2));
    mouse.up({ x: 2, y: 2 }, press(0, 2));
    frame();
    expect(sent).toEqual([
      { type: "move", x: 1, y: 1 },
      { type: "down", button: "left", clicks: 2, x: 2, y: 2 },
      { type: "up", button: "left", clicks: 2, x: 2, y: 2 },
    ]);
  });

  it("moves to where a drag ends before it lets go", () => {
    mouse.down({ x: 1, y: 1 }, press(0));
    expect(mouse.drags).toBe(true);
    mouse.up({ x: 9, y: 9 }, press(0));
    expect(mouse.drags).toBe(false);
    expect(sent.map((input) => input.type)).toEqual(["down", "move", "up"]);
  });

  it("does not release what was pressed elsewhere, nor press what has no name", () => {
    mouse.up({ x: 1, y: 1 }, press(0));
    mouse.down({ x: 1, y: 1 }, press(4));
    expect(sent).toEqual([]);
  });

  it("lets every button go when it rests", () => {
    mouse.down({ x: 3, y: 4 }, press(2, 7));
    mouse.rest();
    mouse.rest();
    expect(sent).toEqual([
      { type: "down", button: "right", clicks: 3, x: 3, y: 4 },
      { type: "up", button: "right", clicks: 3, x: 3, y: 4 },
    ]);
  });
});
