import { describe, expect, it } from "vitest";

import { matching, type Command } from "./matching";

const command = (title: string, kind: string): Command => ({
  id: title,
  title,
  kind,
  icon: "room",
  run: () => undefined,
});
const commands = [command("Cluster", "page"), command("Theme: dark", "Settings")];
const found = (typed: string) => matching(commands, typed).map(({ title }) => title);

describe("the palette", () => {
  it("finds a command by any words of its title and kind, in any order and case", () => {
    expect(found("DARK settings")).toEqual(["Theme: dark"]);
    expect(found("clu")).toEqual(["Cluster"]);
  });

  it("shows every command before anything is typed, and none that lacks a word", () => {
    expect(found(" ")).toEqual(["Cluster", "Theme: dark"]);
    expect(found("cluster dark")).toEqual([]);
  });
});
