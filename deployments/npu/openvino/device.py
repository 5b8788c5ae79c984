"""Which OpenVINO device was asked for, which of them this machine has, and which one ran."""

from collections.abc import Sequence
from dataclasses import dataclass

from autobot.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Choice:
    """The device handed to OpenVINO, and why it is not all that was asked for.

    ``fallback`` is a sentence for people, None when every requested device exists.
    """

    requested: str
    device: str
    available: tuple[str, ...]
    fallback: str | None = None

    def uses(self, name: str) -> bool:
        """Whether ``name`` is among the devices handed over; ``AUTO`` alone may use any."""
        members = self.device.partition(":")[2] or self.device
        listed = self.available if members == "AUTO" else members.split(",")
        return any(member == name or member.startswith(f"{name}.") for member in listed)

    @property
    def plain_cpu(self) -> bool:
        """Whether the CPU alone was handed over, without AUTO around it."""
        return self.device == "CPU"


def choose(requested: str, available: Sequence[str]) -> Choice:
    """Reduce ``AUTO:NPU,CPU`` to the devices in ``available``, in the order asked for.

    A list may lose members; a single device named without AUTO is a demand. Raises `Unavailable`
    when nothing that was asked for exists here.
    """
    have = tuple(available)
    plugin, listed, names = requested.partition(":")
    if not listed:
        if requested != "AUTO" and not _exists(requested, have):
            raise Unavailable(f"Device {requested} is not on this machine: {_seen(have)}.")
        return Choice(requested, requested, have)
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    present = [name for name in wanted if _exists(name, have)]
    absent = [name for name in wanted if name not in present]
    if not present:
        raise Unavailable(f"None of {', '.join(wanted)} is on this machine: {_seen(have)}.")
    # One device left: AUTO around it would add a scheduler and change nothing.
    device = present[0] if len(present) == 1 else f"{plugin}:{','.join(present)}"
    reason = f"No {' or '.join(absent)} on this machine: {_seen(have)}." if absent else None
    return Choice(requested, device, have, reason)


def executing(devices: Sequence[str]) -> str:
    """Join EXECUTION_DEVICES. AUTO puts a device in brackets while it stands in for another."""
    return ",".join(device.strip("()") for device in devices)


def _exists(name: str, available: Sequence[str]) -> bool:
    return any(have == name or have.startswith(f"{name}.") for have in available)


def _seen(available: Sequence[str]) -> str:
    return f"OpenVINO sees {', '.join(available) or 'no device'}"
