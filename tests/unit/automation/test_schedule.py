"""When schedules fire: clock changes, missed fires, and clocks that jump."""

import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autobot.automation.schedule import (
    MOST_MADE_UP,
    cron_mistake,
    due,
    fires_after,
    next_fires,
    run_id,
    zone_mistake,
)
from autobot.automation.triggers import Missed, Schedule


def schedule(cron: str, timezone: str = "Europe/Berlin", missed: Missed = "once") -> Schedule:
    return Schedule(cron=cron, timezone=timezone, missed=missed)


def fires_of_day(one: Schedule, year: int, month: int, day: int) -> list[datetime]:
    """All fires of a local day, in UTC."""
    start = datetime(year, month, day, tzinfo=ZoneInfo(one.timezone))
    end = (start + timedelta(days=1)).astimezone(UTC)
    start = start.astimezone(UTC) - timedelta(seconds=1)
    return [fire for fire in next_fires(one, start, 200) if fire < end]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type]


def test_a_time_that_the_clocks_repeat_fires_once() -> None:
    assert fires_of_day(schedule("30 2 * * *"), 2027, 10, 31) == [utc(2027, 10, 31, 0, 30)]


def test_a_time_that_the_clocks_skip_fires_once_right_after() -> None:
    assert fires_of_day(schedule("30 2 * * *"), 2027, 3, 28) == [utc(2027, 3, 28, 1, 0)]


def test_quarters_of_an_hour_follow_real_time_when_clocks_change() -> None:
    assert len(fires_of_day(schedule("*/15 * * * *"), 2027, 10, 31)) == 100
    assert len(fires_of_day(schedule("*/15 * * * *"), 2027, 3, 28)) == 92


def test_nine_in_warsaw_is_eight_in_january_and_seven_in_july() -> None:
    one = schedule("0 9 * * *", "Europe/Warsaw")
    assert next_fires(one, utc(2027, 1, 5), 1) == [utc(2027, 1, 5, 8)]
    assert next_fires(one, utc(2027, 7, 5), 1) == [utc(2027, 7, 5, 7)]


def test_a_day_of_the_month_or_of_the_week_is_enough() -> None:
    fires = next_fires(schedule("0 9 1 * mon", "UTC"), utc(2027, 2, 25), 4)
    assert [fire.strftime("%a %d") for fire in fires] == ["Mon 01", "Mon 08", "Mon 15", "Mon 22"]
    fires = next_fires(schedule("0 9 1 * mon", "UTC"), utc(2027, 3, 29, 12), 2)
    assert [fire.strftime("%a %d") for fire in fires] == ["Thu 01", "Mon 05"]


def test_three_times_that_the_clocks_skip_are_one_fire() -> None:
    one = schedule("0,20,40 2 * * *")
    assert fires_of_day(one, 2027, 3, 28) == [utc(2027, 3, 28, 1, 0)]


def test_sixty_ticks_are_sixty_instants_whoever_computes_them() -> None:
    one = schedule("* * * * *")
    ids = {
        run_id("a", "schedule", fire)
        for start in (utc(2027, 10, 30, 23, 59, 59), utc(2027, 10, 30, 23, 59, 30))
        for fire in next_fires(one, start, 60)
    }
    assert len(ids) == 60
    fire = utc(2027, 1, 1)
    assert run_id("a", "schedule", fire) == run_id(
        "a", "schedule", fire.astimezone(ZoneInfo("Asia/Tokyo"))
    )
    assert (
        len(
            {run_id("a", "schedule", fire), run_id("b", "schedule", fire), run_id("a", "s-2", fire)}
        )
        == 3
    )


@pytest.mark.parametrize(("missed", "count"), [("once", 1), ("skip", 0), ("all", MOST_MADE_UP)])
def test_what_was_missed_in_a_week_off_is_made_up_as_the_schedule_says(
    missed: Missed, count: int
) -> None:
    last, now = utc(2027, 3, 1), utc(2027, 3, 8, 0, 10, 30)
    result = due(schedule("*/15 * * * *", missed=missed), last, now)
    assert len(result.fires) == count
    assert result.last == now
    assert result.next == utc(2027, 3, 8, 0, 15)
    assert list(result.fires) == sorted(set(result.fires))
    assert all(fire == utc(2027, 3, 8) for fire in result.fires[-1:])


@pytest.mark.parametrize("missed", ["once", "skip", "all"])
def test_a_fire_that_is_seen_a_moment_late_is_no_missed_one(missed: Missed) -> None:
    one = schedule("0 7 * * *", missed=missed)
    result = due(one, utc(2027, 3, 1, 6, 0), utc(2027, 3, 2, 6, 0, 1))
    assert result.fires == (utc(2027, 3, 2, 6, 0),)
    exact = due(one, utc(2027, 3, 1, 6, 0), utc(2027, 3, 2, 6, 0))
    assert exact.fires == (utc(2027, 3, 2, 6, 0),)


def test_a_clock_that_goes_back_fires_nothing_twice() -> None:
    one = schedule("*/10 * * * *", missed="all")
    last, fired = utc(2027, 3, 1), list[datetime]()
    for minutes in (5, 10, 11, 30, -600, 10, 29, 31, 45, 20, 60):
        result = due(one, last, utc(2027, 3, 1) + timedelta(minutes=minutes))
        fired += result.fires
        last = result.last
    assert fired == [utc(2027, 3, 1) + timedelta(minutes=m) for m in (10, 20, 30, 40, 50, 60)]


def test_the_work_after_a_time_off_does_not_grow_with_it() -> None:
    def cost(last: datetime) -> float:
        one = schedule("* * * * *")
        began = time.thread_time()
        for _ in range(20):
            due(one, last, utc(2027, 2, 20))
        return time.thread_time() - began

    cost(utc(2027, 2, 19))
    hour = min(cost(utc(2027, 2, 19, 23)) for _ in range(3))
    years = min(cost(utc(2024, 2, 20)) for _ in range(3))
    assert years < 5 * hour + 0.02


@pytest.mark.parametrize(
    ("cron", "mistake"),
    [
        ("0 0 30 2 *", "never|day-of-month"),
        ("0 0 31 4,6,9,11 *", "never|day-of-month"),
        ("0 0 * 2 1#5", "never"),
        ("*/5 * * * * *", "five fields"),
        ("@daily", "five fields"),
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day-of-month"),
        ("* * * 13 *", "month"),
        ("* * * * 8", "day-of-week"),
        ("*/0 * * * *", "minute"),
        ("5-1 * * * *", "minute"),
        ("a * * * *", "minute"),
        ("* * * * mon-", "day-of-week"),
        ("1,,2 * * * *", "minute"),
        ("\u0661 * * * *", "minute"),
        ("L/2 L/2 L/2 * *", "minute"),
    ],
)
def test_a_text_that_is_no_schedule_is_refused(cron: str, mistake: str) -> None:
    assert any(word in (cron_mistake(cron) or "") for word in mistake.split("|"))


@pytest.mark.parametrize(
    "cron", ["0 0 29 2 *", "0 7 * * mon-fri", "0 0 L * *", "0 9 * * 5#2", "* * * * 7"]
)
def test_a_schedule_that_fires_is_accepted(cron: str) -> None:
    assert cron_mistake(cron) is None


@pytest.mark.parametrize(
    "zone", ["", "Mars/One", "../../etc/passwd", "Europe", "CEST", "+02:00", "localtime"]
)
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    assert zone_mistake(zone)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="0123456789*/-,LW# monfri@\u0661", max_size=24))
def test_any_text_is_a_schedule_or_has_a_mistake(cron: str) -> None:
    if cron_mistake(cron) is None:
        assert next_fires(schedule(cron), utc(2027, 1, 1), 1)


NIGHTS = [
    ("Europe/Berlin", utc(2027, 3, 28, 1)),
    ("Europe/Berlin", utc(2027, 10, 31, 1)),
    ("America/New_York", utc(2027, 11, 7, 6)),
    ("Australia/Lord_Howe", utc(2027, 4, 3, 15)),
    ("Australia/Lord_Howe", utc(2027, 10, 2, 15, 30)),
    ("America/Havana", utc(2027, 11, 7, 5)),
]


@pytest.mark.parametrize(("zone", "change"), NIGHTS)
@pytest.mark.parametrize(
    "cron", ["0,20,40 1-3 * * *", "30 2 * * *", "15,45 0-4 * * *", "*/20 2 * * *", "0 0 * * *"]
)
def test_whoever_asks_during_a_change_of_clocks_is_told_the_same_fires(
    cron: str, zone: str, change: datetime
) -> None:
    one = schedule(cron, zone, "all")
    start = change - timedelta(hours=12)
    everything = next_fires(one, start, 200)
    assert everything == sorted(set(everything))
    for minutes in range(-240, 240, 15):
        now = change + timedelta(minutes=minutes)
        assert list(due(one, start, now).fires) == [fire for fire in everything if fire <= now]
        assert next_fires(one, now, 3) == [fire for fire in everything if fire > now][:3]


MINUTES = st.sampled_from(["*", "*/7", "30", "0,30", "5-10"])
HOURS = st.sampled_from(["*", "2", "1-3", "*/5", "0"])
DAYS = st.sampled_from(["* *", "28 *", "1 3", "31 10", "* 10"])
WEEKDAYS = st.sampled_from(["*", "sun", "1-5"])
ZONES = st.sampled_from(
    ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kolkata"]
)
CHANGES = st.sampled_from(
    [utc(2027, 3, 28), utc(2027, 10, 31), utc(2027, 11, 7), utc(2027, 4, 3), utc(2027, 6, 1)]
)


@settings(max_examples=100, deadline=None)
@given(
    MINUTES, HOURS, DAYS, WEEKDAYS, ZONES, CHANGES, st.integers(-1500, 1500), st.integers(1, 900)
)
def test_fires_are_in_order_without_doubles_and_the_latest_are_found_from_behind(
    minute: str,
    hour: str,
    day: str,
    weekday: str,
    zone: str,
    change: datetime,
    offset: int,
    off: int,
) -> None:
    one = schedule(f"{minute} {hour} {day} {weekday}", zone, "all")
    now = change + timedelta(minutes=offset)
    last = now - timedelta(minutes=off)
    forwards = [fire for fire in islice(fires_after(one, last), 1_000) if fire <= now]
    assert forwards == sorted(set(forwards))
    assert all(fire > last for fire in forwards)
    assert list(due(one, last, now).fires) == forwards[-MOST_MADE_UP:]
    # Whoever asks in two parts is told the same fires.
    middle = last + timedelta(minutes=off // 2)
    both = [*due(one, last, middle).fires, *due(one, middle, now).fires]
    assert both[-MOST_MADE_UP:] == forwards[-MOST_MADE_UP:]
