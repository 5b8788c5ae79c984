"""Every error survives the trip between two processes."""

import pickle

import pytest

from autobot import errors


def every_error() -> list[type[errors.AutoBotError]]:
    found = [errors.AutoBotError]
    for kind in found:
        found.extend(kind.__subclasses__())
    return found


@pytest.mark.parametrize("kind", every_error())
def test_error_keeps_its_class_and_words_through_pickle(kind: type[errors.AutoBotError]) -> None:
    before = kind("it broke").of("input")
    after = pickle.loads(pickle.dumps(before))  # noqa: S301
    assert type(after) is kind
    assert after.args == before.args
    assert (after.detail, after.param) == ("it broke", "input")


def test_default_message_is_the_docstring() -> None:
    assert errors.Busy().detail == errors.Busy.__doc__


def test_type_slugs_are_unique_per_status_and_stable() -> None:
    slugs = [kind.type for kind in every_error() if kind.__module__ == errors.__name__]
    assert len(slugs) == len(set(slugs))


def test_setup_error_says_the_remedy() -> None:
    assert "apt-get" in str(errors.SetupError("no node", "apt-get install nodejs"))
