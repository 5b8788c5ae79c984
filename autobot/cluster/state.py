"""What the node provider knows of its nodes, kept in one file that is replaced atomically.

The operator's machine and the head each have such a file, and they differ: the operator's knows the
head it set up, the head's knows the workers it set up.
"""

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

from autobot.files import write_private

NodeState = Literal["running", "lost", "terminated"]


@dataclass(frozen=True)
class Node:
    """One launch of a VM. Ids are never used twice: Ray takes a second launch for a new node.

    ``lost`` means that Ray gave the node up while the VM may well come back; ``since`` is when it
    entered its state, ``answering_since`` when the lost VM began to answer again (Unix seconds).
    """

    id: str
    address: str
    room: str
    state: NodeState = "running"
    since: float = 0.0
    answering_since: float | None = None
    tags: dict[str, str] = field(default_factory=dict[str, str])

    def matches(self, tags: dict[str, str]) -> bool:
        """Whether the node has each of these tags with just that value; it may have more."""
        return all(self.tags.get(name) == value for name, value in tags.items())


@dataclass
class Nodes:
    """All nodes by id, and how often each address was launched."""

    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    launches: dict[str, int] = field(default_factory=dict[str, int])

    def launch(self, address: str, room: str, tags: dict[str, str], now: float) -> Node:
        """Add a node with an id of its own, and forget what was terminated at its address."""
        self.launches[address] = self.launches.get(address, 0) + 1
        node = Node(f"{address}-g{self.launches[address]}", address, room, "running", now)
        for old in [n for n in self.nodes.values() if n.address == address]:
            if old.state == "terminated":
                del self.nodes[old.id]
        self.nodes[node.id] = replace(node, tags=dict(tags))
        return self.nodes[node.id]

    def change(self, node_id: str, **values: object) -> None:
        """Replace these fields of a node. Raises KeyError when there is no node of that id."""
        self.nodes[node_id] = replace(self.nodes[node_id], **values)  # pyright: ignore[reportArgumentType]

    def alive(self) -> list[Node]:
        """Every node that is not terminated; a lost one counts, since its VM is still ours."""
        return [node for node in self.nodes.values() if node.state != "terminated"]

    def dump(self) -> bytes:
        """Return the JSON that the file has; `load` reads it."""
        nodes = [asdict(node) for node in self.nodes.values()]
        return json.dumps({"nodes": nodes, "launches": self.launches}, indent=1).encode()

    @classmethod
    def load(cls, content: bytes) -> Self:
        """Read what `dump` wrote. Raises ValueError when it is no JSON."""
        data = json.loads(content)
        return cls({node["id"]: Node(**node) for node in data["nodes"]}, data["launches"])


class StateFile:
    """The file, and one writer at a time: threads and processes alike take turns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread_lock = threading.Lock()

    def read(self) -> Nodes:
        """Return what the file has now, no nodes when there is none; it waits for no writer."""
        # Replaced as a whole, so a reader needs no lock.
        return Nodes.load(self._path.read_bytes()) if self._path.exists() else Nodes()

    @contextmanager
    def changing(self) -> Iterator[Nodes]:
        """Yield the nodes and, if the block ends well, keep what it made of them."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        with self._thread_lock, os.fdopen(lock, "w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            nodes = self.read()
            before = nodes.dump()
            yield nodes
            if nodes.dump() != before:
                write_private(self._path, nodes.dump())
