"""Which messages of a conversation are left out when it does not fit a model's context."""

from autobot.errors import ContextLengthExceeded
from deployments.llm.engine import ChatMessage

MOST_TRIES = 8
"""Times the engine is asked with what may fit; then with as little as there can be."""
AT_LEAST_CUT = 0.7
"""What is tried next, as a part of what was too long, when the engine does not say by how much."""


class History:
    """A conversation whose oldest messages may be dropped: not the system's, not the last.

    The engine alone counts tokens, and each count costs a request of the whole conversation. So the
    number to drop is worked out from the last count and the lengths in characters: two or three
    requests find it, however many messages there are.
    """

    def __init__(self, messages: tuple[ChatMessage, ...]) -> None:
        self._messages = messages
        last = len(messages) - 1
        self._oldest = [i for i, one in enumerate(messages) if one.role != "system" and i < last]
        self._tries = 0
        self.dropped = 0

    @property
    def kept(self) -> tuple[ChatMessage, ...]:
        """The conversation without the `dropped` oldest messages, in its order."""
        gone = set(self._oldest[: self.dropped])
        return tuple(one for i, one in enumerate(self._messages) if i not in gone)

    def shorten(self, error: ContextLengthExceeded) -> bool:
        """Drop more, judged by the engine's refusal of what is kept; False when nothing is left."""
        if self.dropped == len(self._oldest):
            return False
        self._tries += 1
        characters = sum(len(one.content) for one in self.kept)
        fitting = error.context / error.tokens if error.tokens and error.context else AT_LEAST_CUT
        excess = characters * (1 - fitting)
        while excess > 0 and self.dropped < len(self._oldest):
            excess -= max(1, len(self._messages[self._oldest[self.dropped]].content))
            self.dropped += 1
        if self._tries == MOST_TRIES:
            self.dropped = len(self._oldest)
        return True
