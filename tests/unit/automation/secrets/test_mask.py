"""What is secret is taken out of everything that is written down, in every form named."""

import base64
import hashlib
import json
import time
from typing import Any
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobot.automation.secrets import mask as module
from autobot.automation.secrets.forms import forms
from autobot.automation.secrets.mask import NOTHING, Finder, Mask

VALUES = [
    "hunter2",
    "1234",
    "p@ss/word+with =odd&ends?",
    "quotes \" and ' and \\ and /",
    "two\nlines\r\n",
    "nul\0inside",
    "Jēkabpils 🔑",
    " white space around\n",
    "".join(hashlib.sha256(str(n).encode()).hexdigest() for n in range(1_024)),
    "-----BEGIN KEY-----\n" + "QUJD" * 300,
]


def encoded(value: str) -> dict[str, str]:
    """A value as those may give it back whom it was sent to."""
    body = value.encode()
    return {
        "itself": value,
        "trimmed": value.strip(),
        "json": json.dumps({"a": value}),
        "json as it is": json.dumps({"a": value}, ensure_ascii=False),
        "repr": repr(value),
        "address": f"https://example.org/?token={quote(value, safe='')}&x=1",
        "path": f"/a/{quote(value)}/b",
        "form": f"token={quote_plus(value)}",
        "small hexadecimal": quote(value, safe="").lower() if value.isascii() else value,
        "xml": f"<a>{escape(value)}</a>",
        "base64": base64.b64encode(body).decode(),
        "base64 for addresses": base64.urlsafe_b64encode(body).decode().rstrip("="),
        "base64 of user and password": base64.b64encode(b"user:" + body).decode(),
        "base64 at each place 1": base64.b64encode(b"x" + body + b"y").decode(),
        "base64 at each place 2": base64.b64encode(b"xy" + body + b"xy").decode(),
        "hexadecimal": body.hex(),
    }


def core(value: str, text: str) -> bool:
    """Whether a text still tells the value: a decoder of any of the encodings finds it."""
    return any(form in text for form in forms(value))


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value[:12]))
def test_every_form_of_a_value_is_replaced(value: str) -> None:
    mask = Mask([value])
    for name, text in encoded(value).items():
        if name == "small hexadecimal" and value.lower() != value:
            continue
        masked = mask.text(f"before {text} after")
        assert module.MASKED in masked, name
        assert not core(value, masked), (name, masked[:200])
        assert masked.startswith("before ")
        assert masked.endswith(" after")


@given(value=st.text(min_size=4, max_size=40), before=st.binary(max_size=5), after=st.text())
def test_base64_is_found_wherever_the_value_begins_in_it(
    value: str, before: bytes, after: str
) -> None:
    try:
        body = before + value.encode() + after.encode()
    except UnicodeEncodeError:
        return
    if len(value.strip()) < 4:
        return
    text = base64.b64encode(body).decode()
    first, last = -(-8 * len(before) // 6), 8 * (len(before) + len(value.encode())) // 6
    assert text[first:last] not in Mask([value]).text(text)


def test_a_basic_authorization_does_not_tell_its_password() -> None:
    header = base64.b64encode(b"robot:Tr0ub4dor").decode()
    masked = Mask(["Tr0ub4dor"]).text(f"Basic {header}")
    assert b"Tr0ub" not in base64.b64decode(masked.split()[1].replace("***", "") + "===")


def test_keys_numbers_and_deep_values_are_masked_and_nothing_else_is() -> None:
    value: Any = {
        "hunter2": [{"a": ["xhunter2y", "hunter", 12345678, 1.5, None, True]}],
        "other": "text",
    }
    assert Mask(["hunter2", "3456"])(value) == {
        "***": [{"a": ["x***y", "hunter", "12***78", 1.5, None, True]}],
        "other": "text",
    }
    assert value["hunter2"], "what was given is left as it was"


def test_values_that_overlap_leave_no_end_of_one_behind() -> None:
    mask = Mask(["abcdef", "defghi", "cdef"])
    assert mask.text("-abcdefghi-") == "-***-"
    assert mask.text("-abcdef-defghi-") == "-***-***-"
    long = hashlib.sha512(b"long").hexdigest()
    assert Mask([long, long[70:80]]).text(f"-{long}-") == "-***-", "one within another"


def test_half_of_a_surrogate_pair_is_no_obstacle() -> None:
    assert Mask(["hunter2"]).text("\ud83dhunter2\udd11") == "\ud83d***\udd11"


def test_what_a_body_holds_is_seen_before_it_is_walked() -> None:
    for value in VALUES:
        for text in encoded(value).values():
            body = json.dumps({"a": [text]}).encode()
            assert Mask([value]).finds(body) or module.MASKED not in Mask([value]).text(text)
    assert not Mask(["hunter2"]).finds(b'{"a":"hunter"}')
    assert not NOTHING.finds(b"hunter2")
    assert NOTHING({"a": "hunter2"}) == {"a": "hunter2"}


@given(
    text=st.text(alphabet="ab", max_size=300),
    values=st.sets(st.text(alphabet="ab", min_size=4, max_size=70), min_size=1, max_size=5),
    window=st.integers(1, 80),
)
def test_windows_change_nothing(text: str, values: set[str], window: int) -> None:
    needles = {value.encode() for value in values}
    places = [(at, one) for at in range(len(text)) for one in values if text.startswith(one, at)]
    covered = [any(at <= i < at + len(one) for at, one in places) for i in range(len(text))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WINDOW", window)
        spans = Finder(needles).spans(text.encode())
    found = [any(start <= i < end for start, end in spans) for i in range(len(text))]
    assert found == covered


def test_a_text_that_only_repeats_a_long_secrets_beginning_takes_linear_time() -> None:
    mask = Mask(["a" * 65_536])
    began = time.process_time()
    assert mask.text("a" * (1 << 20) + "b" * 1_000) == "***", "masked whole"
    assert time.process_time() - began < 5
    assert mask.text("a" * 65_550 + "b") == "***b"


def test_a_log_has_no_secret_of_an_exceptions_words_or_cause() -> None:
    try:
        try:
            raise ValueError("hunter2")
        except ValueError as error:
            raise RuntimeError("it said hunter2") from error
    except RuntimeError as error:
        trace = Mask(["hunter2"]).trace(error)
    assert "hunter2" not in trace
    assert "RuntimeError: it said ***" in trace
