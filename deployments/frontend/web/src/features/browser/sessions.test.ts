import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { SessionInfo } from "../../generated";
import { ApiError } from "../../lib/errors";
import { createBrowserSessions, type BrowserOptions, type BrowserSessions } from "./sessions";

const session = (id: string): SessionInfo => ({
  id,
  node: "172.16.168.25",
  created: 0,
  idle_s: 1800,
  expires_in_s: 3600,
  idle_for_s: 0,
  wheel: "agent",
  viewers: 0,
  profile: null,
  tabs: [{ tab: 0, url: "https://example.org/", newest: true }],
  downloads: [],
  dialogs: [],
  blocked: [],
});

const list = vi.fn<BrowserOptions["list"]>();
const create = vi.fn<BrowserOptions["create"]>();
const goto = vi.fn<BrowserOptions["goto"]>();
const remove = vi.fn<BrowserOptions["remove"]>();
const onUnauthenticated = vi.fn();
let browser: BrowserSessions;

beforeEach(() => {
  vi.useFakeTimers();
  vi.resetAllMocks();
  list.mockResolvedValue({ sessions: [session("s_1")], unreachable: [] });
  create.mockResolvedValue(session("s_new"));
  goto.mockResolvedValue();
  remove.mockResolvedValue();
  browser = createBrowserSessions({ list, create, goto, remove, onUnauthenticated });
});
afterEach(() => {
  browser.rest();
  vi.useRealTimers();
});

describe("the list of sessions", () => {
  it("is looked at every few seconds, and not while nobody looks", async () => {
    browser.poll();
    await vi.advanceTimersByTimeAsync(6500);
    expect(list).toHaveBeenCalledTimes(3);
    expect(browser.sessions).toEqual([session("s_1")]);
    browser.rest();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(list).toHaveBeenCalledTimes(3);
  });

  it("is one round of looks, however often it is asked for", async () => {
    for (let i = 0; i < 5; i++) browser.poll();
    await vi.advanceTimersByTimeAsync(3500);
    expect(list).toHaveBeenCalledTimes(6);
  });

  it("says why it is not known, and recovers", async () => {
    list.mockRejectedValueOnce(new ApiError("unreachable", "The connection to main failed."));
    browser.poll();
    await vi.advanceTimersByTimeAsync(0);
    expect(browser).toMatchObject({ sessions: null, trouble: "The connection to main failed." });
    await vi.advanceTimersByTimeAsync(3000);
    expect(browser).toMatchObject({ trouble: "", sessions: [session("s_1")] });
  });

  it("names the VMs it knows nothing of, and forgets them when they are back", async () => {
    const vm = "172.16.168.26";
    list.mockResolvedValueOnce({ sessions: [session("s_1")], unreachable: [vm] });
    browser.poll();
    await vi.advanceTimersByTimeAsync(0);
    expect(browser).toMatchObject({ sessions: [session("s_1")], unreachable: [vm] });
    await vi.advanceTimersByTimeAsync(3000);
    expect(browser.unreachable).toEqual([]);
  });

  it("ends with a key that is no longer accepted", async () => {
    list.mockRejectedValue(new ApiError("unauthenticated", "This key is not accepted.", 401));
    browser.poll();
    await vi.advanceTimersByTimeAsync(0);
    expect(onUnauthenticated).toHaveBeenCalled();
  });
});

describe("opening", () => {
  it("goes to the address and watches", async () => {
    expect(await browser.open("example.org")).toBe(true);
    expect(goto.mock.calls[0]?.slice(0, 2)).toEqual(["s_new", "https://example.org/"]);
    expect(browser).toMatchObject({ watched: "s_new", busy: false, problem: "" });
  });

  it("does not open what is no address", async () => {
    expect(await browser.open("not an address")).toBe(false);
    expect(browser.problem).toBe("That is not a web address.");
    expect(create).not.toHaveBeenCalled();
  });

  it("closes a session again that does not get to its page", async () => {
    goto.mockRejectedValue(new ApiError("refused", "10.0.0.1 is a private address.", 403));
    expect(await browser.open("10.0.0.1")).toBe(false);
    expect(remove.mock.calls[0]?.[0]).toBe("s_new");
    expect(browser).toMatchObject({ watched: null, problem: "10.0.0.1 is a private address." });
  });

  it("says when there is no place", async () => {
    create.mockRejectedValue(new ApiError("refused", "The room is full. Try again in 5 s.", 429));
    await browser.open("example.org");
    expect(browser).toMatchObject({ busy: false, problem: "The room is full. Try again in 5 s." });
    expect(remove).not.toHaveBeenCalled();
  });

  it("can be stopped", async () => {
    goto.mockImplementation(
      (_, __, signal) =>
        new Promise((_resolve, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason)),
        ),
    );
    const opening = browser.open("example.org");
    await vi.advanceTimersByTimeAsync(0);
    browser.stop();
    expect(await opening).toBe(false);
    expect(browser.problem).toBe("Stopped.");
    expect(remove.mock.calls[0]?.[0]).toBe("s_new");
  });
});

describe("closing", () => {
  it("takes a session off the list and off the screen", async () => {
    browser.poll();
    await vi.advanceTimersByTimeAsync(0);
    browser.watched = "s_1";
    list.mockResolvedValue({ sessions: [], unreachable: [] });
    await browser.close("s_1");
    expect(browser).toMatchObject({ sessions: [], watched: null });
  });

  it("does not wake a list that rests", async () => {
    await browser.close("s_1");
    await vi.advanceTimersByTimeAsync(10_000);
    expect(list).not.toHaveBeenCalled();
  });

  it("keeps one that could not be closed, with the reason", async () => {
    browser.watched = "s_1";
    remove.mockRejectedValue(new ApiError("refused", "Its profile could not be saved.", 503));
    await browser.close("s_1");
    expect(browser).toMatchObject({
      watched: "s_1",
      problem: "Its profile could not be saved.",
    });
  });
});
