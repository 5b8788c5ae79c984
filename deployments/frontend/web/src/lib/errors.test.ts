import { describe, expect, it } from "vitest";

import { errorOf, toApiError } from "./errors";

const answer = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(typeof body === "string" ? body : JSON.stringify(body), { status, headers });

describe("errorOf", () => {
  it.each([
    ["problem+json", { title: "Conflict", detail: "A run is going on" }, "A run is going on."],
    [
      "OpenAI's shape",
      { error: { message: "There is no such model here." } },
      "There is no such model here.",
    ],
    ["Ollama's shape", { error: "model not found" }, "model not found."],
    ["a title alone", { title: "Conflict" }, "Conflict."],
    ["HTML of a proxy", "<h1>no server</h1>", "main answered with HTTP status 409."],
    ["nothing", "", "main answered with HTTP status 409."],
  ])("takes its words from %s", async (_, body, words) => {
    expect((await errorOf(answer(409, body))).message).toBe(words);
  });

  it("says how long to wait when the room is busy", async () => {
    const error = await errorOf(
      answer(429, { detail: "The queue is full" }, { "retry-after": "3" }),
    );
    expect(error.message).toBe("The queue is full. Try again in 3 s.");
  });

  it("tells an unknown key from a key without the scope", async () => {
    expect((await errorOf(answer(401, {}))).kind).toBe("unauthenticated");
    expect((await errorOf(answer(403, { detail: "lacks scope read" }))).kind).toBe("forbidden");
  });

  it("does not blame the key for an address that the browser may not visit", async () => {
    const body = { type: "urn:autobot:problem:blocked-address", detail: "10.0.0.1 is private" };
    const error = await errorOf(answer(403, body));
    expect([error.kind, error.message]).toEqual(["refused", "10.0.0.1 is private."]);
  });
});

describe("toApiError", () => {
  it.each([
    [new TypeError("Failed to fetch"), "unreachable"],
    [new DOMException("x", "AbortError"), "aborted"],
    [new DOMException("x", "TimeoutError"), "timeout"],
    [new Error("odd"), "refused"],
  ])("sorts %s as %s", (cause, kind) => {
    expect(toApiError(cause).kind).toBe(kind);
  });
});
