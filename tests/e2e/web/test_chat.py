"""The chat box: words as they come, Stop, and failures in words."""

import asyncio
import threading

import pytest
from playwright.async_api import Locator, Page, expect

from tests.e2e.web.stub import Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def ask(page: Page, question: str) -> Locator:
    # "Stop" stands there until the answer before is complete.
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    await page.get_by_label("Message").fill(question)
    await page.get_by_label("Message").press("Enter")
    return page.get_by_role("log")


async def test_answer_appears_word_by_word_with_its_source_and_speed(
    signed_in: Page, platform: Platform
) -> None:
    platform.step = threading.Semaphore(0)
    log = await ask(signed_in, "What is a cluster?")
    answer = log.locator("[aria-busy=true] p").first
    for so_far in ("A", "A cluster", "A cluster is"):
        platform.step.release()
        await expect(answer).to_have_text(so_far)
    await expect(signed_in.get_by_role("button", name="Stop")).to_be_visible()
    platform.step.release(len(platform.words))
    await expect(log).to_contain_text("A cluster is many computers that work as one.")
    await expect(log).to_contain_text("10 tokens")
    await expect(log).to_contain_text("tok/s")
    for source in ("llm", "CPU", "qwen2.5-coder-1.5b-instruct", "llama.cpp"):
        await expect(log.get_by_text(source, exact=True)).to_be_visible()
    assert platform.asked[0]["model"] == "default"


async def test_stop_ends_the_answer_on_the_server_and_keeps_its_words(
    signed_in: Page, platform: Platform
) -> None:
    platform.words = ["word "] * 10_000
    log = await ask(signed_in, "Talk for ever")
    await expect(log).to_contain_text("word word word")
    assert not platform.disconnected.is_set()
    await signed_in.get_by_role("button", name="Stop").click()
    assert await asyncio.to_thread(platform.disconnected.wait, 5)
    await expect(log).to_contain_text("Stopped.")
    await expect(log).to_contain_text("word word word")
    await expect(signed_in.get_by_role("button", name="Send")).to_be_visible()
    await expect(signed_in.get_by_label("Message")).to_be_focused()


async def test_escape_stops_an_answer(signed_in: Page, platform: Platform) -> None:
    platform.words = ["word "] * 10_000
    log = await ask(signed_in, "Talk for ever")
    await expect(log).to_contain_text("word word")
    await signed_in.get_by_label("Message").press("Escape")
    assert await asyncio.to_thread(platform.disconnected.wait, 5)


async def test_leaving_the_page_ends_the_answer_on_the_server(
    signed_in: Page, platform: Platform
) -> None:
    platform.words = ["word "] * 10_000
    await expect(await ask(signed_in, "Talk for ever")).to_contain_text("word word")
    await signed_in.get_by_role("button", name="Sign out").click()
    assert await asyncio.to_thread(platform.disconnected.wait, 5)


async def test_next_question_carries_the_conversation(signed_in: Page, platform: Platform) -> None:
    log = await ask(signed_in, "What is a cluster?")
    await expect(log).to_contain_text("10 tokens")
    await ask(signed_in, "Why?")
    await expect(log.get_by_text("10 tokens")).to_have_count(2)
    assert [turn["content"] for turn in platform.asked[1]["messages"]] == [
        "What is a cluster?",
        "A cluster is many computers that work as one.",
        "Why?",
    ]
    await signed_in.get_by_role("button", name="New chat").click()
    await ask(signed_in, "Again")
    await expect(log).to_contain_text("10 tokens")
    assert len(platform.asked[2]["messages"]) == 1


async def test_shift_enter_starts_a_new_line_and_enter_sends(
    signed_in: Page, platform: Platform
) -> None:
    box = signed_in.get_by_label("Message")
    await box.fill("one")
    await box.press("Shift+Enter")
    await box.press_sequentially("two")
    assert platform.asked == []
    await box.press("Enter")
    await expect(signed_in.get_by_role("log")).to_contain_text("10 tokens")
    assert platform.asked[0]["messages"][0]["content"] == "one\ntwo"


async def test_refusal_is_shown_in_the_words_of_the_room(
    signed_in: Page, platform: Platform
) -> None:
    platform.chat_error = (503, "The model is still loading.")
    log = await ask(signed_in, "Hello")
    await expect(log.get_by_role("alert")).to_have_text(
        "The model is still loading. Try again in 2 s."
    )
    platform.chat_error = None
    await signed_in.get_by_role("button", name="Ask again").click()
    await expect(log).to_contain_text("A cluster is many computers")
    assert len(platform.asked[1]["messages"]) == 1


async def test_markup_in_an_answer_stays_text(signed_in: Page, platform: Platform) -> None:
    platform.words = ["<img src=x onerror=alert(1)>", "\n", "    indented"]
    log = await ask(signed_in, "Hello")
    await expect(log).to_contain_text("<img src=x onerror=alert(1)>")
    await expect(log).to_contain_text("3 tokens")
    assert await log.locator("img").count() == 0
    assert "\n    indented" in await log.inner_text()
