"""Every example of the page is a document without mistakes, and every key is on the page."""

import re

import jsonschema_rs
import pytest
from pydantic import BaseModel

from autobot.automation.reading import MODELS, content_hash, dump, load, schema
from autobot.automation.text import read
from autobot.automation.validation import World, check
from autobot.platform.topology import CHECKOUT

PAGE = (CHECKOUT / "docs" / "automations.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FILES = [file.read_text() for file in sorted((CHECKOUT / "docs" / "examples").glob("*.yaml"))]
VALID = jsonschema_rs.validator_for(dict(schema()))


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == 7
    assert len(FILES) == 5


@pytest.mark.parametrize("example", [*EXAMPLES, *FILES], ids=lambda text: text.splitlines()[0])
def test_an_example_is_a_document_without_mistakes(example: str) -> None:
    source = check(example, World(secrets=["HOOK_TOKEN", "MAIL", "PUSH"]))
    assert VALID.is_valid(read(example).value)
    written = dump(source.automation)
    assert load(written).automation == source.automation
    assert content_hash(load(written).automation) == content_hash(source.automation)
    assert VALID.is_valid(read(written).value)


def test_every_key_is_on_the_page() -> None:
    def keys(model: type[BaseModel]) -> set[str]:
        return {field.alias or name for name, field in model.model_fields.items()}

    known = set[str]().union(*(keys(model) for model in MODELS.values()))
    assert {key for key in known if not re.search(rf"\b{re.escape(key)}\b", PAGE)} == set()
    assert len(known) > 50
