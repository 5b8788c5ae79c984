/**
 * One dispatched server-sent event. `data` joins the event's data lines with newlines; `id` is the
 * event's own, where it has one.
 */
export interface SseEvent {
  event: string;
  data: string;
  id?: string;
}

/**
 * Incremental parser of `text/event-stream` (WHATWG HTML, section 9.2.6): text goes in as it arrives,
 * complete events come out. Lines may end in LF, CRLF or CR and be cut anywhere.
 */
export class SseParser {
  private buffer = "";
  private event = "";
  private id: string | null = null;
  private data: string[] = [];
  private started = false;

  push(text: string): SseEvent[] {
    this.buffer += text;
    if (!this.started && this.buffer.length > 0) {
      this.started = true;
      if (this.buffer.startsWith("\uFEFF")) this.buffer = this.buffer.slice(1);
    }
    const events: SseEvent[] = [];
    for (let line = this.nextLine(); line !== null; line = this.nextLine()) {
      const event = this.take(line);
      if (event) events.push(event);
    }
    return events;
  }

  private nextLine(): string | null {
    const end = this.buffer.search(/[\r\n]/);
    if (end < 0) return null;
    const isReturn = this.buffer[end] === "\r";
    // A CR at the very end may be the first half of a CRLF that the network cut in two.
    if (isReturn && end === this.buffer.length - 1) return null;
    const width = isReturn && this.buffer[end + 1] === "\n" ? 2 : 1;
    const line = this.buffer.slice(0, end);
    this.buffer = this.buffer.slice(end + width);
    return line;
  }

  private take(line: string): SseEvent | null {
    if (line === "") return this.dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return null; // a comment, sent to keep the connection alive
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.data.push(value);
    else if (field === "event") this.event = value;
    else if (field === "id") this.id = value;
    return null;
  }

  private dispatch(): SseEvent | null {
    const { event, id, data } = this;
    this.event = "";
    this.id = null;
    this.data = [];
    if (data.length === 0) return null;
    const named = id === null ? {} : { id };
    return { event: event || "message", data: data.join("\n"), ...named };
  }
}

/** Events of a response body as they arrive; `onBytes` is told of every chunk, comments included. */
export async function* readSse(
  body: ReadableStream<Uint8Array>,
  onBytes: () => void = () => undefined,
): AsyncGenerator<SseEvent> {
  const parser = new SseParser();
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      onBytes();
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    // Leaving the loop early must end the transfer, or the engine keeps generating for nobody.
    await reader.cancel().catch(() => undefined);
  }
}
