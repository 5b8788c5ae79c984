"""Programs of steps: what they give, and how each kind of too much ends."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from autobot.contracts.tools import ToolCall
from autobot.errors import Forbidden, Invalid, Timeout
from autobot.keys import NewKey, make_key
from deployments.browser.outside.python.schemas import Code
from deployments.browser.outside.python.service import Python
from tests.contract.browser.outside.conftest import RECORD, steps

pytestmark = pytest.mark.timeout(60)
CALL = ToolCall("python", {}, RECORD, 60)


async def test_the_last_expression_is_the_result_and_what_is_printed_comes_along() -> None:
    code = "print('two:', n + 1)\n{'sum': sum(items), 'all': (n, *items), 'none': None}"
    result = await steps("")("python", code=code, inputs={"n": 1, "items": [1, 2.5]})
    assert result["printed"] == "two: 2\n"
    assert result["result"] == {"sum": 3.5, "all": [1, 1, 2.5], "none": None}
    assert (await steps("")("python", code="x = 1"))["result"] is None


async def test_odd_values_come_back_as_they_were() -> None:
    odd = {"nul": "\0", "big": 2**70, "empty": [], "deep": [[[]]], "é": "🦀"}
    assert (await steps("")("python", code="odd", inputs={"odd": odd}))["result"] == odd


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("x = 1\n\nnowhere + 1", "Line 3: NameError: name 'nowhere' is not defined"),
        ("x = 1\ndef f(:", "Line 2: SyntaxError"),
        ("def f():\n    return 1 / 0\n\nf()", "Line 2: ZeroDivisionError"),
        ("raise ValueError('no')", "Line 1: ValueError: no"),
        ("(" * 5000, "SyntaxError"),
    ],
)
async def test_a_mistake_is_told_with_its_line(code: str, words: str) -> None:
    with pytest.raises(Invalid) as wrong:
        await Python().run(Code(code=code), CALL)
    assert words in wrong.value.detail
    assert len(wrong.value.detail) <= 4000


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("while True: pass", "time limit exceeded"),
        ("import time\ntime.sleep(60)", "sleep limit exceeded"),
        ("x = []\nwhile True: x.append('a' * 100000)", "memory limit exceeded"),
        ("'a' * 10**12", "memory limit exceeded"),
        ("10 ** 10 ** 9", "memory limit exceeded"),
        ("def f(): return f()\nf()", "maximum recursion depth"),
        ("while True: print('x' * 1000)", "prints more than 1 MiB"),
        ("while True: print()", "prints more than 1 MiB"),
        ("'x' * (20 << 20)", "more than 8 MiB"),
        ("x = []\nfor i in range(100000): x = [x]\nx", "nested more than 32 deep"),
        ("x = []\nx.append(x)\nfor i in range(40): x = [x]\nx", "nested more than 32 deep"),
        ("{1, 2}", "no JSON"),
        ("b'bytes'", "no JSON"),
        ("float('inf')", "no JSON"),
    ],
)
async def test_too_much_is_an_error_that_says_of_what(code: str, words: str) -> None:
    before = time.monotonic()
    with pytest.raises(Invalid, match=words):
        await Python(seconds=1).run(Code(code=code), CALL)
    assert time.monotonic() - before < 20


@pytest.mark.parametrize(
    "code",
    [
        "open('/etc/passwd').read()",
        "open('/tmp/x', 'w')",
        "import socket",
        "import subprocess",
        "import os\nos.system('true')",
        "import os\nos.environ['PATH']",
        "import os\nos.listdir('/')",
        "from pathlib import Path\nPath('/etc/passwd').read_text()",
        "__import__('ctypes')",
        "().__class__.__base__.__subclasses__()",
    ],
)
async def test_a_program_has_no_files_network_or_processes(code: str) -> None:
    with pytest.raises(Invalid):
        await Python().run(Code(code=code), CALL)


async def killed(chosen: Callable[[psutil.Process], bool]) -> None:
    """Run for ever, and kill the process of it that is ``chosen``."""
    running = asyncio.ensure_future(Python().run(Code(code="while True: pass"), CALL))
    ends, me = time.monotonic() + 20, psutil.Process()
    while True:
        assert time.monotonic() < ends
        if any(child.cmdline()[1:] == ["subprocess"] for child in family(me)):
            break
        await asyncio.sleep(0.02)
    [found] = [child for child in family(me) if chosen(child)]
    found.kill()
    async with asyncio.timeout(10):  # long before the program's own time is over
        await running


def family(me: psutil.Process) -> list[psutil.Process]:
    """The processes of a program that still have a command line."""
    found = []
    for child in me.children(recursive=True):
        try:
            if "outside.python" in " ".join(child.cmdline()) or child.cmdline()[1:] == [
                "subprocess"
            ]:
                found.append(child)
        except psutil.Error:
            continue
    return found


async def test_an_interpreter_that_crashes_is_the_steps_error_and_leaves_nothing() -> None:
    with pytest.raises(Invalid, match="interpreter ended"):
        await killed(lambda child: child.cmdline()[1:] == ["subprocess"])
    with pytest.raises(Invalid, match="more than it may"):
        await killed(lambda child: "outside.python" in " ".join(child.cmdline()))
    assert not family(psutil.Process())
    assert (await Python().run(Code(code="1"), CALL)).result == 1


def limits_of(process: psutil.Process) -> dict[str, str]:
    """Its soft limits by name."""
    lines = Path(f"/proc/{process.pid}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): line[26:47].strip() for line in lines}


async def test_the_interpreter_starts_no_process_and_belongs_to_nobody() -> None:
    running = asyncio.ensure_future(Python().run(Code(code="while True: pass"), CALL))
    ends, me = time.monotonic() + 20, psutil.Process()
    limits: dict[str, str] = {}
    while limits.get("Max processes") != "0":
        assert time.monotonic() < ends
        await asyncio.sleep(0.02)
        for child in family(me):
            if child.cmdline()[1:] == ["subprocess"]:
                limits = limits_of(child)
                assert me.uids().real != 0 or child.uids().real == 65534
    assert limits["Max file size"] == "0"
    assert int(limits["Max address space"]) < 4 << 30
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not family(me)


async def test_the_steps_time_ends_it() -> None:
    with pytest.raises(Timeout):
        await steps("", within_s=1)("python", code="while True: pass")
    assert not family(psutil.Process())


@pytest.mark.parametrize("name", ["a b", "1a", "if", "a.b", ""])
async def test_inputs_are_names_of_variables(name: str) -> None:
    with pytest.raises(Invalid, match="variable's name"):
        await steps("")("python", code="1", inputs={name: 1})


async def test_a_key_for_the_outside_may_not_compute_and_the_other_way_round() -> None:
    for scope, tool in (("browser:outside", "python"), ("browser:python", "http.get")):
        key = make_key(NewKey(name="b", scopes=(scope,)))[1]
        with pytest.raises(Forbidden):
            await steps("", key)(tool, code="1", url="http://x")
