"""Who may do what in Redis: one user per room, shut in by its own key prefix.

The default user is off. A room whose manifest does not name Redis has no user. Room redis keeps the
data of the whole platform and answers for it, so its user sees every key of ours; it still cannot
administer the server. `operator` is for backup, restore and shutdown, and only its own VM knows the
password.
"""

from collections.abc import Mapping

from autobot.manifests import rooms

OPERATOR = "operator"
"""For backup, restore and shutdown."""

# Nobody can be this user: it is off and has no password. Its rights are for the server itself,
# which reads the append-only file as `default` and silently skips transactions it may not run.
DEFAULT_USER = "user default off resetpass ~* &* +@all"

# Listed one by one instead of @read and @write: those also take in module commands, and RediSearch
# reads documents through its indexes without asking whose keys they are.
ROOM_COMMANDS = (
    "+@connection +@transaction +@pubsub +@hash +@string +@list +@set +@sortedset +@stream +@bitmap"
    " +@hyperloglog +@geo +del +unlink +exists +type +touch +copy +rename +expire +expireat"
    " +pexpire +pexpireat +ttl +pttl +persist +eval +evalsha +script|load +script|exists +time"
    # Who tracks by prefixes is told the names of everybody's keys.
    " -@dangerous -@admin -client|tracking"
)
REDIS_COMMANDS = "+@all -@admin -@dangerous +info +bgsave +lastsave"


def users() -> tuple[str, ...]:
    """Every user: the rooms whose manifest names Redis, and the operator."""
    return (*(room for room, manifest in rooms().items() if manifest.redis), OPERATOR)


def render_acl(hashes: Mapping[str, str]) -> str:
    """Return the users file; ``hashes`` are the passwords' SHA-256 in hexadecimal, by user."""
    lines = [DEFAULT_USER]
    for user in users():
        lines.append(f"user {user} on sanitize-payload #{hashes[user]} {_rules(user)}")
    return "\n".join(lines) + "\n"


def _rules(user: str) -> str:
    if user == OPERATOR:
        return "~* &* +@all"
    redis = rooms()[user].redis
    if redis is not None and redis.keys == "all":
        return f"~autobot:* resetchannels &autobot:* -@all {REDIS_COMMANDS}"
    return f"~autobot:{user}:* resetchannels &autobot:{user}:* -@all {ROOM_COMMANDS}"
