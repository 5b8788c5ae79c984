"""Globs of addresses: what Playwright's mean, in linear time."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright._impl.isomorphic.url_match import glob_to_regex_pattern

from autobot.errors import Invalid
from deployments.browser.pages.globs import Glob

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize(
    ("glob", "url", "same"),
    [
        ("**/done", "http://x.example/a/done", True),
        ("**/done", "http://x.example/done?x", False),
        ("http://x.example", "http://x.example/", True),
        ("http://*.example/**", "http://x.example/a/b", True),
        ("http://x.example/*.png", "http://x.example/a/b.png", False),
        ("**/{a,b}.png", "http://x/b.png", True),
        (r"**/what\?x=*", "http://x/what?x=1", True),
        ("**/what?x=*", "http://x/what?x=1", True),
        ("*", "a" * 9000, False),
    ],
)
def test_a_glob_means_what_playwright_says(glob: str, url: str, same: bool) -> None:
    assert Glob(glob).matches(url) is same


@given(st.text("ab/*?.,{}\\$", max_size=10), st.text("ab/.?$,", max_size=8))
def test_it_agrees_with_playwrights_own_matcher(glob: str, url: str) -> None:
    import re

    try:
        theirs = re.compile(glob_to_regex_pattern(glob))
    except Exception:
        return
    assert Glob(glob).matches(url) is bool(theirs.search(url))


@pytest.mark.parametrize("glob", ["{", "}", "{a,{b}}", "a{b"])
def test_braces_that_do_not_match_are_refused(glob: str) -> None:
    with pytest.raises(Invalid, match="glob"):
        Glob(glob)


def test_a_glob_of_many_choices_is_matched_in_linear_time() -> None:
    glob = Glob("*" + "{*,*}" * 300 + "!")
    began = time.process_time()
    assert not glob.matches("http:" + "a" * 8000)
    assert time.process_time() - began < 2
