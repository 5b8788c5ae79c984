import type { Button, Input, Point, Size } from "./messages";

/** Where something lies in the window, as `getBoundingClientRect` gives it. */
export interface Box extends Size {
  left: number;
  top: number;
}

interface Spot {
  clientX: number;
  clientY: number;
}
interface Press extends Spot {
  button: number;
  detail: number;
}
interface Turn extends Spot {
  deltaX: number;
  deltaY: number;
  deltaMode: number;
}

/** Pixels of a line, for the mice and browsers that count in lines. */
const LINE = 40;
/** What the server takes as a distance. */
const FAR = 100_000;

const between = (least: number, value: number, most: number) =>
  Math.min(most, Math.max(least, value));

/**
 * The place on a page of `page` size under the mouse, when the page's picture fills `box`. A mouse
 * that left the picture while it drags stays at the page's edge.
 */
export function pagePoint(at: Spot, box: Box, page: Size): Point {
  const along = (from: number, length: number, size: number) =>
    length > 0 ? Math.round(between(0, (from / length) * size, size - 1) * 10) / 10 : 0;
  return {
    x: along(at.clientX - box.left, box.width, page.width),
    y: along(at.clientY - box.top, box.height, page.height),
  };
}

/** The button of a mouse event by name; null for those that the server does not know. */
export function buttonName(button: number): Button | null {
  return (["left", "middle", "right"] as const)[button] ?? null;
}

/** A turn of the wheel in pixels, whatever unit the browser counts in. */
export function turned(event: Turn, page: Size): { dx: number; dy: number } {
  const unit = [1, LINE, page.height][event.deltaMode] ?? 1;
  return {
    dx: between(-FAR, event.deltaX * unit, FAR),
    dy: between(-FAR, event.deltaY * unit, FAR),
  };
}

/**
 * A mouse over the picture of a page. Moves and turns of the wheel are sent once per animation
 * frame at most; a press or release is sent at once, after what came before it.
 */
export class Mouse {
  private at: Point = { x: 0, y: 0 };
  private moved = false;
  private turn = { dx: 0, dy: 0 };
  private planned = false;
  private readonly pressed = new Map<Button, number>();

  constructor(
    private readonly send: (input: Input) => void,
    private readonly nextFrame: (work: () => void) => void,
  ) {}

  move(at: Point): void {
    this.at = at;
    this.moved = true;
    this.plan();
  }

  scroll(at: Point, event: Turn, page: Size): void {
    const { dx, dy } = turned(event, page);
    this.at = at;
    this.turn = {
      dx: between(-FAR, this.turn.dx + dx, FAR),
      dy: between(-FAR, this.turn.dy + dy, FAR),
    };
    this.plan();
  }

  /** `detail` counts the presses in one place: 2 is a double click. */
  down(at: Point, { button, detail }: Press): void {
    const name = buttonName(button);
    if (!name) return;
    this.flush();
    const clicks = between(1, detail, 3);
    this.pressed.set(name, clicks);
    this.at = at;
    this.send({ type: "down", button: name, clicks, ...at });
  }

  /** A release of what was not pressed here is nobody's business: its press was elsewhere. */
  up(at: Point, { button }: Press): void {
    const name = buttonName(button);
    if (name) this.release(name, at);
  }

  /** Whether a button is down: the mouse may then leave the picture. */
  get drags(): boolean {
    return this.pressed.size > 0;
  }

  /** Lets every button go, so that none stays down in a page that nobody drives. */
  rest(): void {
    for (const name of [...this.pressed.keys()]) this.release(name, this.at);
    this.flush();
  }

  private release(name: Button, at: Point): void {
    const clicks = this.pressed.get(name);
    if (clicks === undefined) return;
    this.pressed.delete(name);
    if (at.x !== this.at.x || at.y !== this.at.y) this.move(at); // "up" alone moves nothing
    this.flush();
    this.send({ type: "up", button: name, clicks, ...at });
  }

  private plan(): void {
    if (this.planned) return;
    this.planned = true;
    this.nextFrame(() => {
      this.planned = false;
      this.flush();
    });
  }

  private flush(): void {
    const { at, moved, turn } = this;
    this.moved = false;
    this.turn = { dx: 0, dy: 0 };
    if (turn.dx !== 0 || turn.dy !== 0) this.send({ type: "wheel", ...at, ...turn });
    else if (moved) this.send({ type: "move", ...at });
  }
}
