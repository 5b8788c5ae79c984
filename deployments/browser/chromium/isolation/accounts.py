"""Which users browsers run as: one for sessions, and one for each protocol connection.

Only root can give a process another user. A connection's is a number no account has: nobody else's
files are its own, and it cannot read, signal or trace another connection's processes.
"""

import os
import pwd
import secrets
from dataclasses import dataclass

from autobot.errors import SetupError
from autobot.platform.browser_users import BROWSER_UIDS, BROWSER_USER


@dataclass(frozen=True)
class Account:
    """A user and a group, as the kernel knows them."""

    uid: int
    gid: int
    name: str

    def change(self) -> list[str]:
        """Options by which setpriv becomes this account; none where we are it already."""
        if os.geteuid() != 0:
            return []
        return ["--reuid", str(self.uid), "--regid", str(self.gid), "--clear-groups"]


def ours() -> Account:
    """Return who sessions' Chromium runs as: this user, or `BROWSER_USER` where this is root."""
    if os.geteuid() != 0:
        entry = pwd.getpwuid(os.geteuid())
        return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)
    try:
        entry = pwd.getpwnam(BROWSER_USER)
    except KeyError as error:
        raise SetupError(
            f"Chromium must not run as root, and there is no user {BROWSER_USER}.",
            f"useradd --system --no-create-home --shell /usr/sbin/nologin {BROWSER_USER}",
        ) from error
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)


def fresh() -> Account:
    """Return an account nothing else has, for one connection; as an ordinary user, our own.

    It is drawn and not counted, so that replicas of one machine need not agree.
    """
    if os.geteuid() != 0:
        return ours()
    uid = BROWSER_UIDS[secrets.randbelow(len(BROWSER_UIDS))]
    return Account(uid, uid, f"{BROWSER_USER}-{uid}")
