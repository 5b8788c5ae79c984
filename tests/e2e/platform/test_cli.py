"""The command line against a running platform, as a person and a program use it."""

import json
import os
import pty
import re
import subprocess
import sys
import time
from typing import Any

from autobot.manifests import rooms
from tests.e2e.platform.conftest import OWN_ROOM
from tests.platform import Platform

ROOMS = {*rooms(), OWN_ROOM}


def printed(platform: Platform, *arguments: str) -> Any:
    return json.loads(platform.run(*arguments, "--json").stdout)


def test_status_is_a_row_for_every_room_and_json_for_programs(platform: Platform) -> None:
    cluster = printed(platform, "status")
    assert set(cluster["rooms"]) == ROOMS
    shown = platform.run("status").stdout
    assert all(room in shown for room in ROOMS)


def test_doctor_finds_nothing_wrong_and_says_so(platform: Platform) -> None:
    found = printed(platform, "doctor")
    assert (found["running"], found["problems"]) == (True, [])
    assert all("ray_token" in each["protection"] for each in found["reachable"])
    assert "no problems; the platform is up" in platform.run("doctor").stdout


def test_a_key_is_made_listed_with_its_domains_and_revoked(platform: Platform) -> None:
    made = printed(platform, "key", "create", "cli", "--scope", "read", "--deny-domain", "ads.test")
    assert made["key"].startswith("ab_")
    assert platform.client(made["key"]).get("/api/cluster").status_code == 200
    (found,) = [key for key in printed(platform, "key", "list") if key["id"] == made["id"]]
    assert (found["scopes"], found["deny_domains"]) == (["read"], ["ads.test"])
    assert "key" not in found
    assert made["id"] in platform.run("key", "revoke", made["id"]).stdout
    assert made["id"] not in {key["id"] for key in printed(platform, "key", "list")}
    deadline = time.monotonic() + 10
    while platform.client(made["key"]).get("/api/cluster").status_code != 401:
        assert time.monotonic() < deadline


def test_a_room_that_is_none_is_named_and_the_six_are_offered(platform: Platform) -> None:
    for command in ("logs", "restart"):
        refused = platform.run(command, "kitchen", check=False)
        assert refused.returncode == 1
        assert "There is no room 'kitchen'" in refused.stderr
        assert "browser" in refused.stderr
    assert platform.run("key", "list", "--no-such-option", check=False).returncode == 2


def test_logs_show_what_a_room_said_and_follow_goes_on(platform: Platform) -> None:
    assert platform.run("logs", "redis").stdout.strip()
    following = subprocess.Popen(
        [sys.executable, "-m", "autobot", "logs", "redis", "-f"],
        env=platform.environment,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert following.stdout is not None
    try:
        assert following.stdout.readline()
        time.sleep(1)
        assert following.poll() is None
    finally:
        os.killpg(following.pid, 15)
        following.wait(20)
        following.stdout.close()


def test_chat_answers_once_on_stdout_and_says_where_on_stderr(platform: Platform) -> None:
    done = platform.run("chat", "Say", "hello.")
    assert done.stdout.strip()
    assert re.search(r"· llm · \S+", done.stderr)


def test_chat_without_a_message_is_a_conversation_until_ctrl_d(platform: Platform) -> None:
    person, terminal = pty.openpty()
    talking = subprocess.Popen(
        [sys.executable, "-m", "autobot", "chat"],
        env=platform.environment,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(terminal)
    try:
        os.write(person, b"My name is Zelda. Say hello.\nWhat is my name? One word.\n\x04")
        said, told = talking.communicate(timeout=120)
    finally:
        if talking.poll() is None:
            talking.kill()
        os.close(person)
    assert talking.returncode == 0
    assert "Zelda" in said.splitlines()[-1] or "Zelda" in said.split("\n", 1)[1]
    assert told.count("· llm ·") == 2


def test_models_of_the_catalogue_are_listed_with_what_is_here(platform: Platform) -> None:
    rows = printed(platform, "models", "list")
    assert {row["kind"] for row in rows} >= {"chat", "embedding", "speech"}
    assert any(row["installed"] for row in rows if row["kind"] == "chat")
    unknown = platform.run("models", "rm", "nobody", check=False)
    assert unknown.returncode == 1
    assert "nobody" in unknown.stderr
