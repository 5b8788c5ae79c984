"""Which of Apprise's services send messages here."""

import ssl
from pathlib import Path

import apprise
import pytest
from apprise.manager_plugins import NotificationManager

from deployments.browser.outside.notify.process import _audit, usable  # pyright: ignore


def module(service: type) -> str:
    return service.__module__.removeprefix("apprise.plugins.").partition(".")[0]


def test_services_that_use_neither_http_nor_mail_are_refused() -> None:
    manager = NotificationManager()
    manager.load_modules()
    refused = {module(one) for one in manager.plugins() if not usable(one)}
    assert refused == {
        *("amqp", "aprs", "blink1", "dbus", "glib", "gnome", "growl", "irc", "macosx", "mqtt"),
        *("rsyslog", "smpp", "syslog", "windows", "xmpp"),
    }


@pytest.mark.parametrize(
    "url",
    [
        "mailtos://a:b@example.org",
        "ntfy://topic",
        "discord://123456789012345678/abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghij",
        "jsons://example.org",
        "tgram://123456789:abcdefghijklmnopqrstuvwxyzabcdefghi/1",
        "gotifys://example.org/abcdefghijklmno",
    ],
)
def test_services_that_people_use_are_not(url: str) -> None:
    service = apprise.Apprise.instantiate(url)
    assert service is not None
    assert usable(type(service))


def test_files_of_the_system_and_of_packages_are_read_and_no_others(
    tmp_path: Path,
) -> None:
    for path in (
        "/etc/ssl/openssl.cnf",
        "/proc/self/fd/3",
        apprise.__file__,
        ssl.__file__,
    ):
        _audit("open", (path, "r", 0))
    for path in (
        "/root/.netrc",
        f"{tmp_path}/a",
        "/usr/../root/a",
        "/var/lib/x",
        "/proc/self/environ",
    ):
        with pytest.raises(PermissionError):
            _audit("open", (path, "r", 0))
    for mode in ("w", "a", "r+", "x"):
        with pytest.raises(PermissionError):
            _audit("open", ("/usr/share/x", mode, 0))
    for event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "ctypes.dlopen"):
        with pytest.raises(PermissionError):
            _audit(event, ("true",))
