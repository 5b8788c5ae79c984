"""A bad cable: carries Ethernet frames between two interfaces, late and not all of them.

Run as `cable.py NEAR FAR DELAY_MS LOSS_PCT` in the switch's namespace; it says `carrying` once both
ends are open and runs until it is killed. Frames cross with their virtio-net header, so that those
the kernel has not yet cut into packets or given a checksum (veth offload) arrive as they were sent.
It keeps the order of frames, and holds at most 64 MiB: past that, like any full queue, it drops.
"""

from __future__ import annotations

import collections
import contextlib
import random
import select
import socket
import sys
import time

SOL_PACKET = 263
PACKET_VNET_HDR = 15
PACKET_IGNORE_OUTGOING = 23
ETH_P_ALL = 3
SO_SNDBUFFORCE = 32
SO_RCVBUFFORCE = 33
LARGEST = 10 + 18 + 65_536 * 8  # header, Ethernet with a VLAN tag, the largest uncut packet
HELD_BYTES = 64 * 2**20


def open_end(interface: str) -> socket.socket:
    """A raw socket on `interface` that hears arriving frames only."""
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    end.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    end.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    end.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, HELD_BYTES)
    end.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, HELD_BYTES)
    end.bind((interface, ETH_P_ALL))
    end.setblocking(False)
    return end


def carry(near: socket.socket, far: socket.socket, delay: float, loss: float) -> None:
    """Carry frames both ways for ever; `delay` in seconds, `loss` a probability, each way."""
    chance = random.SystemRandom().random
    across = {near: far, far: near}
    held: collections.deque[tuple[float, socket.socket, bytes]] = collections.deque()
    held_bytes = 0
    while True:
        wait = max(0.0, held[0][0] - time.monotonic()) if held else None
        for end in select.select([near, far], [], [], wait)[0]:
            # A port that is down says ENETDOWN; the frame is lost, as in a pulled cable.
            with contextlib.suppress(OSError):
                frame = end.recv(LARGEST)
                if chance() >= loss and held_bytes + len(frame) <= HELD_BYTES:
                    held.append((time.monotonic() + delay, across[end], frame))
                    held_bytes += len(frame)
        while held and held[0][0] <= time.monotonic():
            _, end, frame = held.popleft()
            held_bytes -= len(frame)
            with contextlib.suppress(OSError):
                end.send(frame)


def main() -> None:
    """Open both ends, say so, carry."""
    near, far, delay_ms, loss_pct = sys.argv[1:]
    ends = open_end(near), open_end(far)
    print("carrying", flush=True)
    carry(*ends, float(delay_ms) / 1000, float(loss_pct) / 100)


if __name__ == "__main__":
    main()
