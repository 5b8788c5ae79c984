"""Compiled texts are kept by their letters, not by their number."""

from autobot.automation.template_cache import MOST_LETTERS, TemplateCache


def test_texts_are_kept_up_to_a_number_of_letters() -> None:
    cache = TemplateCache[int]()
    texts = [f"{number:03}" + "a" * 9_997 for number in range(100)]
    for number, text in enumerate(texts):
        cache.keep(text, number)
        assert cache.get(texts[0]) == 0, "what is used stays"
    assert cache.get(texts[1]) is None
    assert MOST_LETTERS - 10_000 < cache.letters <= MOST_LETTERS


def test_a_text_that_is_kept_twice_counts_once() -> None:
    cache = TemplateCache[int]()
    for number in range(3):
        cache.keep("abc", number)
    assert (cache.letters, cache.get("abc")) == (3, 2)
