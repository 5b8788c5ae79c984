"""Formats that are regular, as patterns; the others are validated afterwards."""

_DAYS = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)"
    r"|02-(?:0[1-9]|1\d|2[0-8]))"
)
_LEAP = r"(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29"
_DATE = rf"(?:\d{{4}}-{_DAYS}|{_LEAP})"
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
_BYTE = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_LABEL = r"[a-z0-9]{1,15}(?:-[a-z0-9]{1,15})?"
_WORD = r"[A-Za-z0-9_+-]{1,20}"

HELD = {
    "date": rf"^{_DATE}$",
    "time": rf"^{_TIME}$",
    "date-time": rf"^{_DATE}T{_TIME}$",
    "uuid": r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    "ipv4": rf"^{_BYTE}(?:\.{_BYTE}){{3}}$",
    "email": rf"^{_WORD}(?:\.{_WORD}){{0,2}}@{_LABEL}(?:\.{_LABEL}){{1,3}}$",
}
VALIDATED = (
    "duration", "hostname", "idn-email", "idn-hostname", "ipv6", "iri", "iri-reference",
    "json-pointer", "regex", "relative-json-pointer", "uri", "uri-reference", "uri-template",
)  # fmt: skip
"""Any other name describes, as the drafts have it."""
