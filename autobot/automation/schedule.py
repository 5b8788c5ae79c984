"""When a schedule fires: cron's five fields in a named zone, with Debian's rules for clock changes.

A time that a clock change skips fires right after it, one that it repeats fires once; fields that
begin with ``*`` for minute or hour follow real time. All instants are in UTC and whole seconds.
"""

import hashlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from autobot.automation.triggers import Schedule

MOST_MADE_UP = 100
"""Missed fires that ``missed: all`` runs; the oldest beyond them are left out."""
ON_TIME_S = 60
"""A fire that is seen so late is not a missed one."""
FURTHEST = timedelta(days=366 * 9)
"""A schedule must fire within it: 29 February may be eight years away."""
CLOCK_CHANGE = timedelta(hours=3)
"""More than any clock change moves."""


@dataclass(frozen=True)
class Due:
    """``fires``: the instants to start runs for, the oldest first. ``last``: up to where the
    schedule is settled. ``next``: the fire after it, None where there is none for years."""

    fires: tuple[datetime, ...]
    last: datetime
    next: datetime | None


@lru_cache(maxsize=1)
def zones() -> frozenset[str]:
    """Return the names of all time zones; ``localtime`` is another one on every machine."""
    return frozenset(available_timezones() - {"localtime", "posixrules", "Factory"})


def cron_mistake(cron: str) -> str | None:
    """Say why the text is no schedule, or None. Seconds and ``@daily`` are no part of it."""
    if len(cron.split()) != 5:
        return "five fields: minute, hour, day of month, month, day of week"
    try:
        start = datetime(2027, 1, 1, tzinfo=UTC)
        first = next(CronSim(cron, start))
    except CronSimError as error:
        return f"{error}: five fields, as in 0 7 * * mon-fri"
    except (StopIteration, ValueError, OverflowError, AssertionError):
        return "it never fires"
    return "it never fires" if first > start + FURTHEST else None


def zone_mistake(timezone: str) -> str | None:
    """Say why the text names no time zone, or None."""
    return None if timezone in zones() else "no time zone of the IANA database, as Europe/Riga is"


def fires_after(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Yield every fire after the instant, each once, for as long as there are some."""
    last = after.astimezone(UTC)
    zone = ZoneInfo(schedule.timezone)
    # In a repeated hour the local time does not say which one it is, so begin before it.
    start = last if _steady(zone, last, last) else last - CLOCK_CHANGE
    for local in CronSim(schedule.cron, start.astimezone(zone)):
        instant = local.astimezone(UTC)
        if instant - last > 2 * FURTHEST:
            return
        if instant > last:
            last = instant
            yield instant


def _steady(zone: ZoneInfo, start: datetime, end: datetime) -> bool:
    """Whether no clock changes from a day before ``start`` to a day after ``end``."""
    day, offset = timedelta(days=1), zone.utcoffset
    before, after = (start - day).astimezone(zone), (end + day).astimezone(zone)
    return end - start < 20 * day and offset(before) == offset(after)


def next_fires(schedule: Schedule, after: datetime, count: int) -> list[datetime]:
    """Return the next ``count`` fires after an instant."""
    return list(islice(fires_after(schedule, after), count))


def due(schedule: Schedule, last: datetime, now: datetime) -> Due:
    """Say what to run, given the last settled instant: no fire at or before it comes again, also
    when the clock has gone back. The work does not grow with the time between the two."""
    if now <= last:
        return Due((), last, next(fires_after(schedule, last), None))
    wanted = MOST_MADE_UP if schedule.missed == "all" else 1
    fires = _latest(schedule, last, now, wanted)
    if schedule.missed == "skip":
        fires = [fire for fire in fires if now - fire <= timedelta(seconds=ON_TIME_S)]
    return Due(tuple(fires), now.astimezone(UTC), next(fires_after(schedule, now), None))


def _latest(schedule: Schedule, last: datetime, now: datetime, count: int) -> list[datetime]:
    """The latest ``count`` fires after ``last`` and up to ``now``."""
    zone = ZoneInfo(schedule.timezone)
    settled, present = last.astimezone(UTC), now.astimezone(UTC)
    # Backwards a fire of this very second would be left out.
    ahead = (present + timedelta(seconds=1)).astimezone(zone)
    fires: list[datetime] = []
    for local in islice(CronSim(schedule.cron, ahead, reverse=True), count):
        fire = local.replace(tzinfo=zone).astimezone(UTC)
        if fire <= settled - CLOCK_CHANGE:
            break
        fires.append(fire)
    start = fires[-1] if len(fires) == count else settled
    if _steady(zone, start, present):
        return sorted(fire for fire in fires if settled < fire <= present)
    # Backwards a skipped or repeated hour is not read by the same rules: forwards decides.
    begin = max(settled, start - CLOCK_CHANGE)
    found: deque[datetime] = deque(maxlen=count)
    for fire in fires_after(schedule, begin):
        if fire > present:
            break
        found.append(fire)
    return list(found)


def run_id(automation: str, trigger: str, instant: datetime) -> str:
    """Return the id of the run that a fire starts: the same for everybody who computes it."""
    seconds = int(instant.timestamp())
    return hashlib.sha256(f"{automation}\n{trigger}\n{seconds}".encode()).hexdigest()[:32]
