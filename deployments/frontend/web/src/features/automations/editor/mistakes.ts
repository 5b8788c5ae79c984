/** A mistake in a document; `line` and `column` from 1, 0 where its place is not known. */
export interface Mistake {
  line: number;
  column: number;
  message: string;
}

const PLACED = /^(\d+):(\d+): (.*)$/;

/** The mistakes in the words of the server, which tells one a line: `3:5: steps[0].use: ...`. */
export function mistakesIn(detail: string): Mistake[] {
  return detail
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const placed = PLACED.exec(line);
      if (!placed) return { line: 0, column: 0, message: line };
      return { line: Number(placed[1]), column: Number(placed[2]), message: placed[3] ?? "" };
    });
}
