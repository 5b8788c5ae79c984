import { describe, expect, it } from "vitest";

import { questionsOf, stepsOf } from "./steps";

const STEPS = {
  ask: { status: "waiting", attempts: 1, waits_for: "approval" },
  "each[2]": { status: "waiting", attempts: 1, waits_for: "unknown" },
  pause: { status: "waiting", attempts: 1, waits_for: "time" },
  done: { status: "succeeded", attempts: 1, waits_for: null },
};

describe("the steps of a run", () => {
  it("are known by their ids, and those of a loop by their items too", () => {
    expect(stepsOf({ steps: STEPS }).map(({ step, iteration }) => [step, iteration])).toEqual([
      ["ask", null],
      ["each", 2],
      ["pause", null],
      ["done", null],
    ]);
  });

  it("that wait for a person are questions; those that wait for an instant are not", () => {
    expect(questionsOf({ steps: STEPS }).map(({ name }) => name)).toEqual(["ask", "each[2]"]);
  });
});
