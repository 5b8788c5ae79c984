import { describe, expect, it } from "vitest";

import { proposals, spotAt } from "./completion";

const labels = (text: string) => proposals(text).map(({ label }) => label);

describe("where in a document one writes", () => {
  it.each([
    ["na", [], null],
    ["mode: ", [], "mode"],
    ["on:\n  sche", ["on"], null],
    ["steps:\n  - id: a\n    us", ["steps", "[]"], null],
    ["steps:\n- id: a\n  retry:\n    ", ["steps", "[]", "retry"], null],
    ["steps:\n- id: a\n- i", ["steps", "[]"], null],
    ["steps:\n- id: a\n\nmod", [], null],
    ["inputs:\n  city:\n    type: s", ["inputs", "city"], "type"],
    ["# a word\non:\n  # another\n  ma", ["on"], null],
  ])("%j", (text, path, key) => expect(spotAt(text)).toEqual({ path, key }));
});

describe("completion from the format's schema", () => {
  it("proposes the document's keys, and those of what it stands in", () => {
    expect(labels("")).toEqual(expect.arrayContaining(["name", "on", "inputs", "steps", "mode"]));
    expect(labels("steps:\n  - ")).toEqual(expect.arrayContaining(["id", "use", "with", "if"]));
    expect(labels("steps:\n  - id: a\n    retry:\n      ")).toContain("attempts");
    expect(labels("inputs:\n  city:\n    ")).toContain("type");
    expect(labels("on:\n  schedule:\n    - ")).toContain("cron");
  });

  it("proposes the values of a choice", () => {
    expect(labels("mode: ")).toEqual(["single", "queued", "parallel", "restart"]);
    expect(labels("inputs:\n  city:\n    type: ")).toContain("string");
  });

  it("proposes nothing where the schema says nothing", () => {
    expect(labels("steps:\n  - id: a\n    with:\n      any: ")).toEqual([]);
  });
});
