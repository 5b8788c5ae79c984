import type { RunDetail, StepInfo } from "../../../generated";

/** A step of a run by its id, and the number of its item where it is a loop. */
export interface StepView extends StepInfo {
  name: string;
  step: string;
  iteration: number | null;
}

/** What a person is asked by a step: leave to go on, or what became of an effect. */
export const ASKS = ["approval", "unknown"];

/** The steps of a run in the order in which they began; of a loop `ID[0]` is item 0 of `ID`. */
export function stepsOf(run: Pick<RunDetail, "steps">): StepView[] {
  return Object.entries(run.steps).map(([name, info]) => {
    const item = /^(.*)\[(\d+)\]$/.exec(name);
    return {
      ...info,
      name,
      step: item?.[1] ?? name,
      iteration: item ? Number(item[2]) : null,
    };
  });
}

/** The steps that wait for a person. */
export function questionsOf(run: Pick<RunDetail, "steps">): StepView[] {
  return stepsOf(run).filter(
    ({ status, waits_for }) => status === "waiting" && ASKS.includes(waits_for ?? ""),
  );
}
