"""Fields of Ollama's API that do not go together are refused, never dropped without a word."""

from base64 import b64encode
from typing import Any

import pytest
from pydantic import ValidationError

from deployments.llm.chat.schemas import picture
from deployments.llm.ollama_api.schemas import GenerateRequest

PICTURE = b64encode(b"\x89PNG\r\n\x1a\n").decode()


@pytest.mark.parametrize(("field", "value"), [("system", "Be short."), ("images", [PICTURE])])
def test_raw_refuses_what_only_the_template_has_a_place_for(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        GenerateRequest.model_validate({"model": "m", "prompt": "one", "raw": True, field: value})
    (error,) = refused.value.errors()
    assert error["loc"] == (field,)
    assert "raw mode" in error["msg"]


@pytest.mark.parametrize("more", [{}, {"system": "", "images": []}, {"system": None}])
def test_raw_is_the_prompt_alone(more: dict[str, Any]) -> None:
    body = {"model": "m", "prompt": "one", "raw": True} | more
    request = GenerateRequest.model_validate(body).to_engine()
    assert (request.prompt, request.messages) == ("one", ())


def test_a_sound_is_no_picture_though_it_begins_as_a_webp_does() -> None:
    sound = b64encode(b"RIFF\x10\0\0\0WAVE").decode()
    with pytest.raises(ValidationError, match="not a PNG"):
        GenerateRequest.model_validate({"model": "m", "prompt": "one", "images": [sound]})
    with pytest.raises(ValueError, match="not a PNG"):
        picture(f"data:image/webp;base64,{sound}")
    assert picture(f"data:image/webp;base64,{b64encode(b'RIFF    WEBP').decode()}")
