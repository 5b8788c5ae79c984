"""How long a pattern may take on a text, which neither the length of either tells.

jsonschema-rs's engine takes a number of steps for each letter that may be as large as the pattern
is when its repetitions are written out: ``((a?){1000}){100}`` took 18 s for a text of 8,000.
"""

import re

TOKEN = re.compile(
    r"""
    (?P<open> \( (?: \?(?: [:=!] | <[=!] | <\w+> ) )? )
    | (?P<close> \) )
    | (?P<count> \{ (?P<least>\d{1,9}) (?: ,(?P<most>\d{0,9}) )? \} )
    | (?P<often> [*+?] )
    | (?P<class> \[ (?: \\. | [^\]\\] )* \] )
    | (?P<escape> \\[pPu] \{ [^}]* \} | \\. )
    | (?P<sign> [\^$|] )
    | (?P<letter> . )
    """,
    re.VERBOSE | re.DOTALL,
)
ONE_REPEATED = re.compile(
    r"\^(?:\\.|\[(?:\\.|[^\]\\])*+\]|[^\\\[(){}|])(?:\{\d+(?:,\d*)?\}|[*+?])\$"
)
"""The commonest of all: at any letter there is one way on."""
LOOKS = re.compile(r"\(\?<?[=!]|\\[1-9k]")
LOOKING = 100
"""What looks ahead may read the rest of a text again at each of its letters."""
MOST = 10**9


def steps_a_letter(pattern: str) -> int:
    """At worst: how many places of the written out pattern one letter may be read at."""
    if ONE_REPEATED.fullmatch(pattern):
        return 1
    # Of each open group: what may be read together, and what only if the group is repeated.
    loud, quiet = [0], [0]
    last = (0, 0)
    for token in TOKEN.finditer(pattern):
        kind = token.lastgroup if token.lastgroup not in ("least", "most") else "count"
        if kind == "open":
            loud.append(0)
            quiet.append(0)
            last = (0, 0)
        elif kind == "close" and len(loud) > 1:
            last = (loud.pop(), quiet.pop())
            loud[-1], quiet[-1] = loud[-1] + last[0], quiet[-1] + last[1]
        elif kind in ("count", "often"):
            written_out = min(MOST, _copies(token) * sum(last))
            loud[-1] += written_out - last[0]
            quiet[-1] -= last[1]
            last = (written_out, 0)
        elif kind in ("class", "escape", "letter"):
            last = (0, 1)
            quiet[-1] += 1
    one_way = pattern.startswith("^") and "|" not in pattern
    found = 1 + sum(loud) + (0 if one_way else sum(quiet))
    return min(MOST, found * (LOOKING if LOOKS.search(pattern) else 1))


def _copies(token: "re.Match[str]") -> int:
    if token["often"]:
        return 1
    return max(1, int(token["least"]), int(token["most"] or 0))
