import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { PlatformHealth } from "../../generated";
import { ApiError } from "../../lib/errors";
import { connect } from "../../lib/platform";
import { readHealth } from "./api";
import { ROOMS } from "./rooms";
import { createHealthMonitor, summary, type HealthMonitor } from "./health";

const START = Date.parse("2026-01-05T09:00:00Z");

function healthy(changes: Record<string, unknown> = {}): PlatformHealth {
  const room = (name: string) => ({
    room: name,
    state: "ok",
    since: "2026-01-05T08:59:00Z",
    reason: null,
    latency_ms: 1.5,
    node: { id: `n-${name}`, address: "172.16.168.20" },
    replicas: 1,
    device: null,
    models: [],
    version: "0.1.0",
  });
  const rooms = Object.fromEntries(ROOMS.map((name) => [name, room(name)]));
  return { state: "ok", version: "0.1.0", rooms: { ...rooms, ...changes } } as PlatformHealth;
}

type Read = (signal: AbortSignal) => Promise<PlatformHealth>;
let monitor: HealthMonitor;
const onUnauthenticated = vi.fn();
const read = vi.fn<Read>();
const unreachable = new ApiError("unreachable", "The connection to main failed.");
const states = () => new Set(monitor.store.rooms.map((room) => room.state));

beforeEach(() => {
  vi.useFakeTimers({ now: START });
  vi.resetAllMocks();
  monitor = createHealthMonitor({ read, onUnauthenticated });
});
afterEach(() => {
  monitor.stop();
  vi.useRealTimers();
});

async function after(milliseconds: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(milliseconds);
}

describe("health monitor", () => {
  it("shows every room of a healthy platform, in their order", async () => {
    read.mockResolvedValue(healthy());
    monitor.start();
    await after(0);
    expect(monitor.store.rooms.map((room) => room.name)).toEqual([...ROOMS]);
    expect(monitor.store.rooms[2]).toMatchObject({
      state: "ok",
      from: START - 60_000,
      latency: 1.5,
    });
    expect(summary(monitor.store)).toEqual({ state: "ok", text: "All 6 rooms ok" });
  });

  it("polls every two seconds and shows a room that fails with its reason", async () => {
    read.mockResolvedValue(healthy());
    monitor.start();
    await after(3999);
    expect(read).toHaveBeenCalledTimes(2);
    const npu = { state: "down", reason: "no answer", since: "2026-01-05T09:00:03Z" };
    read.mockResolvedValue(healthy({ npu }));
    await after(1);
    expect(monitor.store.rooms[2]).toMatchObject({
      state: "down",
      reason: "no answer",
      from: START + 3000,
    });
    expect(summary(monitor.store).text).toBe("npu down");
  });

  it("dates an outage from its first missed poll and recovers by itself", async () => {
    read.mockResolvedValueOnce(healthy()).mockRejectedValue(unreachable);
    monitor.start();
    await after(8000);
    expect(monitor.store.link).toBe("unreachable");
    expect(monitor.store.outage).toEqual({ from: START + 2000, reason: unreachable.message });
    expect(states()).toEqual(new Set(["unknown"]));
    expect(monitor.store.rooms[0]?.reason).toBe("last seen ok");
    read.mockResolvedValue(healthy());
    await after(2000);
    expect(monitor.store).toMatchObject({ link: "live", outage: null, state: "ok" });
    expect(monitor.store.rooms[0]?.reason).toBeNull();
  });

  it("gives up a poll that main does not answer, and polls again", async () => {
    read.mockImplementation(
      (signal) =>
        new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    );
    monitor.start();
    await after(4000);
    expect(monitor.store.outage).toEqual({ from: START, reason: "No answer within 4 s." });
    await after(1);
    expect(read).toHaveBeenCalledTimes(2);
  });

  it("never has two polls under way", async () => {
    let open = 0;
    let most = 0;
    read.mockImplementation(async () => {
      most = Math.max(most, ++open);
      await new Promise((resolve) => setTimeout(resolve, 3000));
      open -= 1;
      return healthy();
    });
    monitor.start();
    await after(1000);
    monitor.wake();
    await after(20_000);
    expect(most).toBe(1);
    expect(read.mock.calls.length).toBeGreaterThan(5);
  });

  it("ends the session and stops when the key is refused", async () => {
    read.mockRejectedValue(new ApiError("unauthenticated", "no"));
    onUnauthenticated.mockImplementation(() => monitor.stop());
    monitor.start();
    await after(10_000);
    expect(onUnauthenticated).toHaveBeenCalledTimes(1);
    expect(read).toHaveBeenCalledTimes(1);
  });

  it("says so when the key may not read health, and does not call it an outage", async () => {
    read.mockRejectedValue(new ApiError("forbidden", "lacks scope"));
    monitor.start();
    await after(0);
    expect(monitor.store).toMatchObject({ link: "hidden", outage: null });
  });

  it("aborts the poll under way and makes no other once stopped", async () => {
    let aborted = false;
    read.mockImplementation((signal) => {
      signal.addEventListener("abort", () => (aborted = true));
      return new Promise(() => undefined);
    });
    monitor.start();
    monitor.stop();
    await after(30_000);
    expect(aborted).toBe(true);
    expect(read).toHaveBeenCalledTimes(1);
  });

  it("does not call a room fine that main does not list", async () => {
    read.mockResolvedValue(healthy({ llm: undefined }));
    monitor.start();
    await after(0);
    const llm = monitor.store.rooms.find((room) => room.name === "llm");
    expect(llm?.state).toBe("unknown");
    expect(summary(monitor.store)).toEqual({ state: "degraded", text: "llm unknown" });
  });
});

describe("a room of the owner's own", () => {
  it("follows the others and stays where it is", async () => {
    const greeter = { state: "ok", since: null };
    read.mockResolvedValue(healthy({ greeter }));
    monitor.start();
    await after(0);
    await after(2000);
    expect(monitor.store.rooms.map((room) => room.name)).toEqual([...ROOMS, "greeter"]);
    expect(summary(monitor.store).text).toBe("All 7 rooms ok");
  });
});

describe("readHealth", () => {
  const answering = (body: string) =>
    connect("http://main", "ab_key", () => Promise.resolve(new Response(body)));
  const { signal } = new AbortController();

  it("takes the answer that names no rooms for a key that is not accepted", async () => {
    const reading = readHealth(answering('{"state": "ok"}'), signal);
    await expect(reading).rejects.toMatchObject({ kind: "unauthenticated" });
  });

  it("says so when something else answers there", async () => {
    const reading = readHealth(answering("<!doctype html>"), signal);
    await expect(reading).rejects.toMatchObject({ message: "What answers there is not AutoBot." });
  });
});
