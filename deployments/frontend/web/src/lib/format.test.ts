import { describe, expect, it } from "vitest";

import { bytes, latency, span, webAddress } from "./format";

describe("span", () => {
  it.each([
    [-5000, "0 s"],
    [59_999, "59 s"],
    [60_000, "1 min"],
    [3_600_000, "1 h"],
    [172_800_000, "2 d"],
  ])("tells %i ms as %s", (ms, text) => expect(span(ms)).toBe(text));
});

describe("latency and bytes", () => {
  it.each([
    [0.84, "0.8 ms"],
    [12.4, "12 ms"],
    [1900, "1.9 s"],
  ])("tells %d ms as %s", (ms, text) => expect(latency(ms)).toBe(text));

  it.each([
    [512, "512 B"],
    [23_400, "23 kB"],
    [1_250_000, "1.3 MB"],
  ])("tells %i bytes as %s", (count, text) => expect(bytes(count)).toBe(text));
});

describe("webAddress", () => {
  it.each([
    ["example.org", "https://example.org/"],
    [" http://example.org/a?b=c ", "http://example.org/a?b=c"],
    ["localhost:8000", "https://localhost:8000/"],
  ])("reads %j as %s", (typed, url) => expect(webAddress(typed)).toBe(url));

  it.each(["", "foo bar", "file:///etc/passwd", "ftp://example.org", "https://"])(
    "refuses %j",
    (typed) => expect(webAddress(typed)).toBeNull(),
  );
});
