import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { ApiError } from "../../../lib/errors";
import { createFollower, type FollowOptions } from "./follow";

const entry = (id: number, kind: string) =>
  `id: ${id}\nevent: ${kind}\ndata: {"step": "a", "at": "2026-01-05T09:00:00Z"}\n\n`;
const stream = (...parts: string[]) => new Response(parts.join(""));

const open = vi.fn<FollowOptions["open"]>();
const onEntry = vi.fn<FollowOptions["onEntry"]>();
const onUnauthenticated = vi.fn();
const follower = () => createFollower({ open, onEntry, onUnauthenticated });
const seen = () => onEntry.mock.calls.map(([{ number, kind }]) => `${number} ${kind}`);

beforeEach(() => {
  vi.useFakeTimers();
  vi.resetAllMocks();
});
afterEach(() => void vi.useRealTimers());

describe("a run's journal", () => {
  it("is followed to its end and no further", async () => {
    open.mockResolvedValue(stream(entry(1, "started"), entry(2, "ended"), entry(3, "started")));
    const one = follower();
    one.start();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(seen()).toEqual(["1 started", "2 ended"]);
    expect([one.phase, open.mock.calls.length]).toEqual(["over", 1]);
  });

  it("goes on after the last entry when the connection is lost, each entry once", async () => {
    open
      .mockResolvedValueOnce(stream(entry(1, "created"), entry(2, "started")))
      .mockRejectedValueOnce(new ApiError("unreachable", "The connection to main failed."))
      .mockResolvedValueOnce(stream(entry(2, "started"), entry(3, "ended")));
    const one = follower();
    one.start();
    await vi.advanceTimersByTimeAsync(400);
    expect([one.phase, one.problem]).toEqual(["lost", "The connection to main failed."]);
    await vi.advanceTimersByTimeAsync(5000);
    expect(open.mock.calls.map(([after]) => after)).toEqual([0, 2, 2]);
    expect(seen()).toEqual(["1 created", "2 started", "3 ended"]);
    expect([one.phase, one.problem]).toEqual(["over", ""]);
  });

  it("is given up when another try would change nothing", async () => {
    open.mockRejectedValue(new ApiError("refused", "There is no run 'x'.", 404));
    const one = follower();
    one.start();
    await vi.advanceTimersByTimeAsync(60_000);
    expect([one.phase, one.problem]).toEqual(["over", "There is no run 'x'."]);
    expect(open).toHaveBeenCalledTimes(1);
  });

  it("is asked for anew when a connection says nothing for long", async () => {
    open.mockImplementation(
      (_, signal) =>
        new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason as Error));
        }),
    );
    const one = follower();
    one.start();
    await vi.advanceTimersByTimeAsync(60_300);
    expect(open).toHaveBeenCalledTimes(2);
    one.stop();
    await vi.advanceTimersByTimeAsync(120_000);
    expect([one.phase, open.mock.calls.length]).toEqual(["idle", 2]);
  });

  it("keeps a bounded number of entries", async () => {
    const many = Array.from({ length: 510 }, (_, n) => entry(n + 1, "started"));
    open.mockResolvedValue(stream(...many, entry(511, "ended")));
    const one = follower();
    one.start();
    await vi.advanceTimersByTimeAsync(1000);
    expect([one.entries.length, one.leftOut, one.entries[0]?.number]).toEqual([500, 11, 12]);
  });
});
