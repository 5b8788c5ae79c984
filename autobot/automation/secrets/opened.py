"""The secrets that this process' runs use: opened anew for each step, remembered for masking."""

from collections.abc import Awaitable, Callable, Collection, Mapping

from autobot.automation.secrets.mask import NOTHING, Mask
from autobot.contracts.secrets import Opened, missing, unreadable

MOST_SEEN = 1_000
"""Values that are remembered, those of long ago go first."""
MOST_MASKS = 32

Open = Callable[[Collection[str]], Awaitable[Opened]]
"""As `Secrets.open`."""


async def none(names: Collection[str]) -> Opened:
    """Open nothing: there are no secrets."""
    return Opened({}, frozenset(names))


class RunSecrets:
    """Opens secrets for runs, and knows every value that it has opened."""

    def __init__(self, open: Open = none) -> None:
        self._open = open
        self._seen: dict[tuple[str, str], None] = {}
        self._masks: dict[frozenset[str], Mask] = {}

    async def values(self, names: Collection[str]) -> Mapping[str, str]:
        """Return the values as they are now. Raises `SecretMissing` and `SecretUnreadable`, which
        name those that there are not, and `Unavailable`."""
        opened = await self._open(names)
        self._remember(opened.values)
        if opened.missing:
            raise missing(*opened.missing)
        if opened.unreadable:
            raise unreadable(*opened.unreadable)
        return opened.values

    async def learn(self, names: Collection[str]) -> None:
        """Know the values of these for `mask`, of those that there are. Raises `Unavailable`."""
        self._remember((await self._open(names)).values)

    def mask(self, names: Collection[str]) -> Mask:
        """Return what takes these secrets out: their values now and those before, as far as this
        process has opened them."""
        if not names:
            return NOTHING
        values = frozenset(value for name, value in self._seen if name in names)
        mask = self._masks.pop(values, None) or Mask(values)
        self._masks[values] = mask
        while len(self._masks) > MOST_MASKS:
            del self._masks[next(iter(self._masks))]
        return mask

    def _remember(self, values: Mapping[str, str]) -> None:
        for pair in values.items():
            self._seen.pop(pair, None)
            self._seen[pair] = None
        while len(self._seen) > MOST_SEEN:
            del self._seen[next(iter(self._seen))]
