import { beforeEach, describe, expect, it, vi } from "vitest";

import { ApiError } from "../../../lib/errors";
import { createLive, type Live } from "./store";

/** The part of a WebSocket that the store uses; the test is the server. */
class Socket extends EventTarget {
  binaryType = "";
  said: unknown[] = [];
  closed = false;
  readyState = 1;
  send(text: string): void {
    this.said.push(JSON.parse(text));
  }
  close(): void {
    this.closed = true;
  }
  open(): void {
    this.dispatchEvent(new Event("open"));
  }
  hear(data: unknown): void {
    const raw = data instanceof ArrayBuffer ? data : JSON.stringify(data);
    this.dispatchEvent(new MessageEvent("message", { data: raw }));
  }
  lose(): void {
    this.dispatchEvent(new Event("close"));
  }
}

const PICTURE = new ArrayBuffer(4);
const paint = vi.fn<(picture: ArrayBuffer) => Promise<void>>();
const clip = vi.fn<(text: string) => Promise<void>>();
const inspect = vi.fn<(id: string) => Promise<void>>();
const onUnauthenticated = vi.fn();
let sockets: Socket[];
let live: Live;

function watching(id = "s_1"): Socket {
  live.watch(id, paint);
  const socket = sockets[sockets.length - 1];
  if (!socket) throw new Error("no connection was made");
  socket.open();
  return socket;
}
const settled = () => new Promise((resolve) => setTimeout(resolve));

beforeEach(() => {
  vi.resetAllMocks();
  paint.mockResolvedValue();
  inspect.mockResolvedValue();
  clip.mockResolvedValue();
  sockets = [];
  const connect = () => {
    const socket = new Socket();
    sockets.push(socket);
    return socket as unknown as WebSocket;
  };
  live = createLive({ connect, inspect, clip, onUnauthenticated, retries: [0, 0] });
});

describe("live view", () => {
  it("acknowledges a picture once it is painted, and one that cannot be painted", async () => {
    const socket = watching();
    let shown = () => {};
    paint.mockReturnValueOnce(new Promise((resolve) => (shown = resolve)));
    socket.hear(PICTURE);
    await settled();
    expect(socket.said).toEqual([]);
    shown();
    await settled();
    expect(socket.said).toEqual([{ type: "ack" }]);
    paint.mockRejectedValueOnce(new Error("no JPEG"));
    socket.hear(PICTURE);
    await settled();
    expect(socket.said).toEqual([{ type: "ack" }, { type: "ack" }]);
  });

  it("paints pictures in their order", async () => {
    const socket = watching();
    let shown = () => {};
    paint.mockReturnValueOnce(new Promise((resolve) => (shown = resolve)));
    socket.hear(PICTURE);
    socket.hear(PICTURE);
    await settled();
    expect(paint).toHaveBeenCalledTimes(1);
    shown();
    await settled();
    expect(paint).toHaveBeenCalledTimes(2);
  });

  it("sends nothing through a connection that is closing", async () => {
    const socket = watching();
    socket.readyState = 2;
    socket.hear(PICTURE);
    live.take();
    await settled();
    expect(socket.said).toEqual([]);
  });

  it("knows the page's size, its tabs and who drives", () => {
    const socket = watching();
    expect(live.phase).toBe("live");
    socket.hear({ type: "screen", width: 640, height: 480 });
    socket.hear({ type: "state", wheel: "person", tabs: [{ url: "https://a/", newest: true }] });
    expect(live).toMatchObject({ screen: { width: 640, height: 480 }, wheel: "person" });
    expect(live.tabs).toEqual([{ url: "https://a/", newest: true }]);
  });

  it("sends what a person does while this page has the wheel, and only then", () => {
    const socket = watching();
    live.act({ type: "text", text: "too early" });
    live.take();
    socket.hear({ type: "state", wheel: "you", tabs: [] });
    live.act({ type: "move", x: 1, y: 2 });
    live.release();
    socket.hear({ type: "state", wheel: "agent", tabs: [] });
    live.act({ type: "text", text: "too late" });
    expect(socket.said).toEqual([
      { type: "take" },
      { type: "move", x: 1, y: 2 },
      { type: "release" },
    ]);
  });

  it("shows why something was refused until the next try", () => {
    const socket = watching();
    socket.hear({ type: "refused", reason: "Another person is driving this session." });
    expect(live.problem).toBe("Another person is driving this session.");
    live.take();
    expect(live.problem).toBe("");
  });

  it("says why the session ended, and connects again only when asked", async () => {
    const socket = watching();
    socket.hear({ type: "state", wheel: "you", tabs: [] });
    socket.hear({ type: "ended", reason: "it was closed" });
    socket.lose();
    await settled();
    expect(live).toMatchObject({ phase: "over", wheel: "agent" });
    expect(live.problem).toBe("This session has ended: it was closed.");
    expect([sockets.length, inspect.mock.calls.length]).toEqual([1, 0]);
    watching();
    expect(live).toMatchObject({ phase: "live", problem: "" });
  });

  it("connects again when the connection was lost, and takes the wheel it had", async () => {
    const first = watching();
    first.hear({ type: "screen", width: 640, height: 480 });
    first.hear({ type: "state", wheel: "you", tabs: [] });
    first.lose();
    expect(live).toMatchObject({ phase: "connecting", wheel: "agent", screen: { width: 640 } });
    expect(live.problem).toBe("The connection to this session was lost.");
    await settled();
    const [, second] = sockets;
    second?.open();
    second?.hear({ type: "state", wheel: "agent", tabs: [] });
    second?.hear({ type: "state", wheel: "you", tabs: [] });
    expect(second?.said).toEqual([{ type: "take" }]);
    expect(live).toMatchObject({ phase: "live", wheel: "you", problem: "" });
  });

  it("waits for the wheel while its dead connection still holds it", async () => {
    watching().hear({ type: "state", wheel: "you", tabs: [] });
    sockets[0]?.lose();
    await settled();
    const second = sockets[1];
    second?.open();
    second?.hear({ type: "state", wheel: "person", tabs: [] });
    expect([second?.said, live.retaking]).toEqual([[], true]);
    second?.hear({ type: "state", wheel: "agent", tabs: [] });
    second?.hear({ type: "state", wheel: "you", tabs: [] });
    expect([second?.said, live.retaking]).toEqual([[{ type: "take" }], false]);
    second?.hear({ type: "state", wheel: "agent", tabs: [] });
    expect(second?.said.length).toBe(1);
  });

  it("takes no wheel back long after it was lost, nor one that was let go", async () => {
    const now = vi.spyOn(Date, "now").mockReturnValue(0);
    const first = watching();
    first.hear({ type: "state", wheel: "you", tabs: [] });
    first.lose();
    await settled();
    sockets[1]?.open();
    now.mockReturnValue(180_001);
    sockets[1]?.hear({ type: "state", wheel: "agent", tabs: [] });
    expect([sockets[1]?.said, live.retaking]).toEqual([[], false]);
    const again = watching();
    again.hear({ type: "state", wheel: "you", tabs: [] });
    again.lose();
    live.release();
    await settled();
    const last = sockets[sockets.length - 1];
    last?.open();
    last?.hear({ type: "state", wheel: "agent", tabs: [] });
    expect(last?.said).toEqual([]);
    now.mockRestore();
  });

  it("goes on trying while the server says that it is busy or restarting", async () => {
    inspect.mockRejectedValue(new ApiError("refused", "Room browser is restarting.", 503));
    watching().lose();
    await settled();
    expect([live.phase, sockets.length]).toEqual(["connecting", 2]);
    sockets[1]?.lose();
    await settled();
    sockets[2]?.lose();
    await settled();
    expect(live).toMatchObject({ phase: "over", problem: "Room browser is restarting." });
  });

  it("gives up after a few tries, which count anew once it has heard of the session", async () => {
    watching();
    for (const [at, heard] of [true, false, false].entries()) {
      sockets[at]?.open();
      if (heard) sockets[at]?.hear({ type: "state", wheel: "agent", tabs: [] });
      sockets[at]?.lose();
      await settled();
    }
    expect(live).toMatchObject({ phase: "over", wheel: "agent" });
    expect(live.problem).toBe("The connection to this session was lost.");
    expect(sockets.length).toBe(3);
  });

  it("tries no more when the session is gone or nobody watches it any more", async () => {
    inspect.mockRejectedValue(new ApiError("refused", "This session has ended.", 410));
    watching().lose();
    await settled();
    expect(live).toMatchObject({ phase: "over", problem: "This session has ended." });
    inspect.mockResolvedValue();
    watching().lose();
    live.leave();
    await settled();
    expect([live.phase, sockets.length]).toEqual(["idle", 2]);
  });

  it("opens addresses and goes back in the page it drives, and only there", () => {
    const socket = watching();
    live.goto("example.org");
    socket.hear({ type: "state", wheel: "you", tabs: [] });
    live.goto("example.org/shop");
    live.past("back");
    live.goto("no address");
    expect(live.problem).toBe("That is not a web address.");
    expect(socket.said).toEqual([
      { type: "goto", url: "https://example.org/shop" },
      { type: "goto", history: "back" },
    ]);
  });

  it("puts what is selected in the page on the clipboard, or says why not", async () => {
    const socket = watching();
    socket.hear({ type: "state", wheel: "you", tabs: [] });
    live.copy();
    expect(socket.said).toEqual([{ type: "copy" }]);
    socket.hear({ type: "copied", text: "" });
    expect(clip).not.toHaveBeenCalled();
    clip.mockRejectedValueOnce(new Error("not allowed"));
    socket.hear({ type: "copied", text: "a price" });
    await settled();
    expect(clip).toHaveBeenCalledWith("a price");
    expect(live.problem).toContain("(not allowed)");
  });

  it("asks why it was not let in, which a WebSocket does not tell", async () => {
    inspect.mockRejectedValue(new ApiError("refused", "There is no such session.", 404));
    live.watch("s_gone", paint);
    sockets[0]?.lose();
    expect(live.problem).toBe("The live view did not open.");
    await settled();
    expect(inspect).toHaveBeenCalledWith("s_gone");
    expect(live.problem).toBe("There is no such session.");
  });

  it("ends with a key that is no longer accepted", async () => {
    inspect.mockRejectedValue(new ApiError("unauthenticated", "This key is not accepted.", 401));
    watching().lose();
    await settled();
    expect(onUnauthenticated).toHaveBeenCalled();
  });

  it("is deaf to the session it no longer watches", async () => {
    const first = watching();
    const second = watching("s_2");
    expect(first.closed).toBe(true);
    first.hear({ type: "ended", reason: "it was closed" });
    first.hear(PICTURE);
    first.lose();
    await settled();
    expect([live.phase, live.problem, paint.mock.calls.length]).toEqual(["live", "", 0]);
    live.leave();
    expect([second.closed, live.phase]).toEqual([true, "idle"]);
  });

  it("says so when no connection can be made at all", () => {
    const connect = () => {
      throw new DOMException("The subprotocol is invalid", "SyntaxError");
    };
    const broken = createLive({ connect, inspect, clip, onUnauthenticated });
    broken.watch("s_1", paint);
    expect(broken).toMatchObject({ phase: "over", problem: "The subprotocol is invalid" });
  });
});
