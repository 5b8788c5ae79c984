"""Apprise in a process of its own: it connects as `confined.Dialer` does, or not at all.

Apprise's services use `requests` and `smtplib`, which open connections by two functions. Those ask
the room instead, and the kernel refuses all others. Files are read of the system and of installed
packages alone.
"""

import importlib
import itertools
import logging
import os
import smtplib
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import apprise
import certifi
import requests.adapters
import urllib3.util.connection
from apprise.conversion import convert_between
from apprise.manager_plugins import NotificationManager

from deployments.browser.outside.confined import Dialer, NoConnection, Room
from deployments.browser.outside.errors import for_the_moment

MAIL_GIVES_UP = 500
"""From here on a mail server's answer is for good; below it and from 400 on, for the moment."""
SYSTEM_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
LIBRARIES = ("requests", "smtplib")
"""Of services: those whose connections are the room's. Others read files or run programs."""
READ = ("/usr/", "/etc/", "/proc/self/fd/", *dict.fromkeys(f"{p}/" for p in sys.path if p))
FORBIDDEN = frozenset(
    {
        *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"),
        *("os.remove", "os.rename", "os.mkdir", "ctypes.dlopen"),
    }
)


class Trouble:
    """Why the message that is being sent is not taken: ``blocked``, ``refused`` or ``failed``."""

    def __init__(self) -> None:
        self.kind, self.reason = "", ""

    def note(self, kind: str, reason: str) -> None:
        """The last one counts."""
        self.kind, self.reason = kind, reason


def deliver(job: Mapping[str, Any]) -> dict[str, Any]:
    """Send the message to each address in turn."""
    dialer, trouble = Dialer.of_command(), Trouble()
    _connect_by(dialer, trouble)
    _note_answers(trouble)
    sys.addaudithook(_audit)
    return {"deliveries": [_one(url, job, trouble) for url in job["to"]]}


def _one(url: str, job: Mapping[str, Any], trouble: Trouble) -> dict[str, Any]:
    asset = apprise.AppriseAsset(async_mode=False, storage_mode="memory")
    service = apprise.Apprise.instantiate(url, asset=asset)
    if service is None:
        return _not_taken("unknown", "refused", "This is no address of a service of Apprise.")
    name = str(service.service_name)
    if not usable(type(service)):
        return _not_taken(name, "refused", "This service does not send by HTTP or mail.")
    if not getattr(service, "verify_certificate", True):
        return _not_taken(name, "refused", "Certificates are verified: verify=no is refused.")
    sender = apprise.Apprise(asset=asset)
    sender.add(service)
    trouble.note("failed", "The service did not take it.")
    try:
        taken = sender.notify(
            title=job["title"], body=job["body"], body_format=job["format"], interpret_escapes=False
        )
    except Exception:  # of a service's code, which may say secrets
        taken = False
    if taken:
        return {"service": name, "taken": True}
    return _not_taken(name, trouble.kind, trouble.reason)


def _not_taken(service: str, kind: str, reason: str) -> dict[str, Any]:
    return {"service": service, "taken": False, "kind": kind, "reason": reason}


def usable(service: type) -> bool:
    """Whether its connections are those of `LIBRARIES`."""
    modules = [sys.modules.get(one.__module__) for one in service.__mro__]
    own = [one for one in modules if one and one.__name__.startswith("apprise.plugins.")]
    return any(hasattr(one, library) for one in own for library in LIBRARIES)


def _connect_by(dialer: Dialer, trouble: Trouble) -> None:
    def connect(address: tuple[str, int], timeout: Any = None, *others: Any, **named: Any) -> Any:
        try:
            connection = dialer.connect(address[0], int(address[1]))
        except NoConnection as error:
            trouble.note(error.kind, str(error))
            raise
        connection.settimeout(timeout if isinstance(timeout, int | float) else 60.0)
        return connection

    socket.create_connection = connect
    urllib3.util.connection.create_connection = connect


def _note_answers(trouble: Trouble) -> None:
    """Remember what servers say against a message: Apprise tells it to its log, with secrets."""
    send, reply = requests.adapters.HTTPAdapter.send, smtplib.SMTP.getreply

    def noting_send(self: Any, *given: Any, **named: Any) -> Any:
        response = send(self, *given, **named)
        status = response.status_code
        if status >= 400:
            kind = "failed" if for_the_moment(status) else "refused"
            trouble.note(kind, f"The server answered {status}.")
        return response

    def noting_reply(self: Any) -> Any:
        code, text = reply(self)
        if code >= 400:
            kind = "refused" if code >= MAIL_GIVES_UP else "failed"
            trouble.note(kind, f"The mail server answered {code}.")
        return code, text

    requests.adapters.HTTPAdapter.send = noting_send
    smtplib.SMTP.getreply = noting_reply


def _audit(event: str, given: tuple[Any, ...]) -> None:
    if event in FORBIDDEN:
        _refuse(event)
    if event == "open" and not isinstance(given[0], int):
        mode = given[1] or "r"
        path = os.path.realpath(os.fsdecode(given[0])) if "/fd/" not in str(given[0]) else given[0]
        if set(str(mode)) & set("wax+") or not str(path).startswith(READ):
            _refuse(event)


def _refuse(event: str) -> NoReturn:
    raise PermissionError(f"{event} is not for services")


def _keep_certificates() -> None:
    """Hold the authorities' certificates open: their file may be out of reach afterwards."""
    held = os.memfd_create("certificates")
    with open(held, "wb", closefd=False) as file:
        for bundle in (Path(certifi.where()), SYSTEM_AUTHORITIES):
            if bundle.exists():
                file.write(bundle.read_bytes() + b"\n")
    os.environ["REQUESTS_CA_BUNDLE"] = os.environ["SSL_CERT_FILE"] = f"/proc/self/fd/{held}"


def _import_all() -> None:
    """Import what is otherwise imported at its first use, when its file may be out of reach."""
    for module in ("encodings.idna", "html.parser", "netrc", "stringprep"):
        importlib.import_module(module)
    NotificationManager().load_modules()
    formats = list(apprise.NotifyFormat)
    for source, target in itertools.product(formats, formats):
        convert_between(source, target, "# Warm\n\n<b>up</b>")
    smtplib.SMTP()  # of no server: it only asks for this machine's name


if __name__ == "__main__":
    logging.disable()
    _import_all()
    _keep_certificates()
    room = Room()
    room.answer(deliver(room.job))
