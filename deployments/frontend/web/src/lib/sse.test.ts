import { describe, expect, it } from "vitest";

import { readSse, SseParser, type SseEvent } from "./sse";

const STREAM =
  'data: {"a":1}\n\n: keep-alive\n\nevent: done\ndata: one\ndata:two\n\ndata: [DONE]\n\n';
const EVENTS: SseEvent[] = [
  { event: "message", data: '{"a":1}' },
  { event: "done", data: "one\ntwo" },
  { event: "message", data: "[DONE]" },
];

function parse(...pieces: string[]): SseEvent[] {
  const parser = new SseParser();
  return pieces.flatMap((piece) => parser.push(piece));
}

describe("SseParser", () => {
  it("reads events, joins data lines and skips comments", () => {
    expect(parse(STREAM)).toEqual(EVENTS);
  });

  it.each(["\r\n", "\r"])("accepts lines that end in %j", (end) => {
    // The CR that might be half of a CRLF is held back until the next byte, so one more line follows.
    expect(parse(STREAM.replaceAll("\n", end), ":")).toEqual(EVENTS);
  });

  it("gives the same events wherever the stream is cut", () => {
    const text = STREAM.replaceAll("\n", "\r\n");
    for (let cut = 1; cut < text.length; cut++)
      expect(parse(text.slice(0, cut), text.slice(cut), ":")).toEqual(EVENTS);
  });

  it("gives an event when its blank line arrives and not before", () => {
    const parser = new SseParser();
    expect(parser.push("data: x\n")).toEqual([]);
    expect(parser.push("\n")).toEqual([{ event: "message", data: "x" }]);
  });

  it("drops a byte order mark, an event without data, and an event that was cut off", () => {
    expect(parse("\uFEFFdata: x\n\nevent: empty\n\ndata: half")).toEqual([
      { event: "message", data: "x" },
    ]);
  });

  it("gives each event its own id", () => {
    expect(parse("id: 7\ndata: a\n\ndata: b\n\n")).toEqual([
      { event: "message", data: "a", id: "7" },
      { event: "message", data: "b" },
    ]);
  });

  it("takes one space after the colon and keeps the others", () => {
    expect(parse("data:  def f():\n\n")[0]?.data).toBe(" def f():");
  });
});

describe("readSse", () => {
  const bytes = new TextEncoder().encode("data: é\n\ndata: b\n\n");

  it("decodes a character whose bytes arrive apart", async () => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of bytes) controller.enqueue(new Uint8Array([byte]));
        controller.close();
      },
    });
    const seen: string[] = [];
    for await (const { data } of readSse(body)) seen.push(data);
    expect(seen).toEqual(["é", "b"]);
  });

  it("cancels the transfer when the reader leaves early", async () => {
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(bytes),
      cancel: () => void (cancelled = true),
    });
    for await (const { data } of readSse(body)) if (data === "b") break;
    expect(cancelled).toBe(true);
  });
});
