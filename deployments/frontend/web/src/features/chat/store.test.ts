import { describe, expect, it, vi } from "vitest";

import { ApiError } from "../../lib/errors";
import type { ChatTurn } from "./api";
import { createChat, speed } from "./store";

type Send = (turns: ChatTurn[], signal: AbortSignal) => Promise<Response>;

const line = (body: unknown) =>
  `data: ${typeof body === "string" ? body : JSON.stringify(body)}\n\n`;
const word = (content: string) => line({ model: "m-1", choices: [{ delta: { content } }] });
const end = (finish_reason = "stop") => line({ choices: [{ delta: {}, finish_reason }] });
const usage = (completion_tokens: number) => line({ choices: [], usage: { completion_tokens } });
const DONE = line("[DONE]");
const HEADERS = { "x-autobot-room": "llm", "x-autobot-device": "CPU" };

function reply(...lines: string[]): Response {
  return new Response(lines.join(""), { headers: HEADERS });
}

/** A chat whose clock steps 100 ms at each reading. */
function chatWith(send: Send, patience = 120_000) {
  let time = 0;
  const now = () => (time += 100);
  const onUnauthenticated = vi.fn();
  return { chat: createChat({ send, now, onUnauthenticated, patience }), onUnauthenticated };
}

describe("chat", () => {
  it("collects the answer, who gave it and its speed", async () => {
    const { chat } = chatWith(async () =>
      reply(word("Hel"), word("lo"), word("!"), end(), usage(5), DONE),
    );
    await chat.ask(" Hi ");
    expect(chat.exchanges).toHaveLength(1);
    expect(chat.exchanges[0]).toMatchObject({
      question: "Hi",
      answer: "Hello!",
      phase: "done",
      problem: "",
      tokens: 5,
      source: { room: "llm", device: "CPU", model: "m-1", engine: null },
    });
    // Five tokens by the engine's count, the first at 200 ms and the last at 400 ms.
    expect(speed(chat.exchanges[0]!)).toBeCloseTo(20);
  });

  it("counts the pieces when the engine gives no usage", async () => {
    const { chat } = chatWith(async () => reply(word("a"), word("b"), end(), DONE));
    await chat.ask("Hi");
    expect(chat.exchanges[0]?.tokens).toBe(2);
  });

  it("sends what was said before, without the questions that had no answer", async () => {
    const send = vi
      .fn<Send>()
      .mockResolvedValueOnce(reply(word("Yes"), end()))
      .mockRejectedValueOnce(new ApiError("refused", "The queue is full."))
      .mockResolvedValueOnce(reply(word("No"), end()));
    const { chat } = chatWith(send);
    await chat.ask("one");
    await chat.ask("two");
    await chat.ask("three");
    expect(send.mock.calls[2]?.[0]).toEqual([
      { role: "user", content: "one" },
      { role: "assistant", content: "Yes" },
      { role: "user", content: "three" },
    ]);
    expect(chat.exchanges[1]).toMatchObject({ phase: "failed", problem: "The queue is full." });
  });

  it("keeps what came before Stop, and ends the transfer", async () => {
    let cancelled = false;
    const { chat } = chatWith(async (_, signal) => {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(new TextEncoder().encode(word("Once")));
          signal.addEventListener("abort", () => {
            cancelled = true;
            controller.error(new DOMException("stopped", "AbortError"));
          });
        },
      });
      return new Response(body);
    });
    const asked = chat.ask("Tell");
    await vi.waitFor(() => expect(chat.exchanges[0]?.answer).toBe("Once"));
    expect(chat.busy).toBe(true);
    chat.stop();
    await asked;
    expect(chat.exchanges[0]).toMatchObject({ answer: "Once", phase: "stopped" });
    expect([cancelled, chat.busy]).toEqual([true, false]);
  });

  it("says that an answer was cut off when the stream ends without its last piece", async () => {
    const { chat } = chatWith(async () => reply(word("Half")));
    await chat.ask("Hi");
    expect(chat.exchanges[0]).toMatchObject({ answer: "Half", phase: "failed" });
    expect(chat.exchanges[0]?.problem).toMatch(/cut off/);
  });

  it("shows an error that arrives inside the stream", async () => {
    const { chat } = chatWith(async () =>
      reply(word("a"), line({ error: { message: "Out of memory." } })),
    );
    await chat.ask("Hi");
    expect(chat.exchanges[0]).toMatchObject({ phase: "failed", problem: "Out of memory." });
  });

  it("tells that the answer reached its length limit", async () => {
    const { chat } = chatWith(async () => reply(word("a"), end("length"), DONE));
    await chat.ask("Hi");
    expect(chat.exchanges[0]).toMatchObject({ phase: "done" });
    expect(chat.exchanges[0]?.problem).toMatch(/length limit/);
  });

  it("gives up after a long silence", async () => {
    const { chat } = chatWith(
      (_, signal) =>
        new Promise((_resolve, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason)),
        ),
      30,
    );
    await chat.ask("Hi");
    expect(chat.exchanges[0]).toMatchObject({ phase: "failed" });
    expect(chat.exchanges[0]?.problem).toMatch(/Nothing came/);
  });

  it("ends the session when the key is refused", async () => {
    const { chat, onUnauthenticated } = chatWith(async () => {
      throw new ApiError("unauthenticated", "no");
    });
    await chat.ask("Hi");
    expect(onUnauthenticated).toHaveBeenCalledOnce();
  });

  it("asks the last question again in place of its answer", async () => {
    const send = vi.fn<Send>(async () => reply(word("x"), end()));
    const { chat } = chatWith(send);
    await chat.ask("one");
    await chat.again();
    expect(chat.exchanges).toHaveLength(1);
    expect(send.mock.calls[1]?.[0]).toEqual([{ role: "user", content: "one" }]);
  });
});
