import type { Input } from "./messages";

interface Stroke {
  key: string;
  code: string;
  ctrlKey: boolean;
  metaKey: boolean;
  isComposing: boolean;
  getModifierState(name: string): boolean;
}

/** The keys that are no character and have the same name in the DOM and in Playwright. */
const NAMED = new Set(
  [
    "Enter Tab Backspace Delete Insert Escape Home End PageUp PageDown ContextMenu",
    "ArrowLeft ArrowRight ArrowUp ArrowDown Shift Control Alt Meta",
    "F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 F11 F12",
  ].flatMap((line) => line.split(" ")),
);

/**
 * How a key is told to the server: by its name, or as the text it writes when it is on no US
 * keyboard, which is the one that Playwright has. Null for what has no effect of its own, such as
 * a dead key.
 */
export function stroke(event: Stroke): { key: string } | { text: string } | null {
  const { key } = event;
  if (event.isComposing) return null;
  if (NAMED.has(key)) return { key };
  if ([...key].length !== 1) return null;
  // AltGr is Control + Alt to some systems: as a key its character would be a shortcut.
  if (event.getModifierState("AltGraph")) return { text: key };
  if (/^[\x20-\x7e]$/.test(key)) return { key };
  return event.ctrlKey || event.metaKey ? null : { text: key };
}

/** Ctrl + V and ⌘ V: left to this browser, which answers with a `paste` event. */
export function pastes(event: Stroke & { altKey: boolean }): boolean {
  return (event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "v";
}

/** Ctrl + C and Ctrl + X, ⌘ C and ⌘ X. */
export function copies(event: Stroke & { altKey: boolean }): boolean {
  return (event.ctrlKey || event.metaKey) && !event.altKey && /^[cx]$/i.test(event.key);
}

/**
 * What the text field holds that phones' keyboards and input methods write into: they tell of no
 * keys, only of what became of the field, and of a deletion only when there is something to delete.
 */
export const BLANK = " ";

/** Characters that the server takes in one message. */
const MOST = 10_000;

/** A keyboard whose keys go to a page elsewhere: what it pressed there it also lets go. */
export class Keyboard {
  /** By the key's place: between press and release, Shift may have changed its name. */
  private readonly held = new Map<string, string>();

  constructor(private readonly send: (input: Input) => void) {}

  /** Says whether the key was taken, and so must not act on this page too. */
  down(event: Stroke): boolean {
    const told = stroke(event);
    if (!told) return false;
    if ("text" in told) {
      this.send({ type: "text", text: told.text });
      return true;
    }
    this.held.set(event.code, told.key);
    this.send({ type: "key_down", key: told.key });
    return true;
  }

  up(event: Pick<Stroke, "key" | "code">): void {
    // macOS tells of no release while ⌘ is down.
    if (event.key === "Meta") return this.rest();
    this.release(event.code);
  }

  paste(text: string): void {
    const characters = [...text]; // not UTF-16 units: half a character cannot be sent
    for (let from = 0; from < characters.length; from += MOST)
      this.send({ type: "text", text: characters.slice(from, from + MOST).join("") });
  }

  /** Sends what was written into a text field that held `BLANK`. */
  written(value: string): void {
    if (value.length < BLANK.length) return this.tap("Backspace");
    const lines = value.slice(value.startsWith(BLANK) ? BLANK.length : 0).split("\n");
    lines.forEach((line, index) => {
      if (index > 0) this.tap("Enter");
      this.paste(line);
    });
  }

  /** Lets every key go: focus or the wheel went elsewhere. */
  rest(): void {
    for (const code of [...this.held.keys()].reverse()) this.release(code);
  }

  private tap(key: string): void {
    this.send({ type: "key_down", key });
    this.send({ type: "key_up", key });
  }

  private release(code: string): void {
    const key = this.held.get(code);
    if (key === undefined) return;
    this.held.delete(code);
    this.send({ type: "key_up", key });
  }
}
