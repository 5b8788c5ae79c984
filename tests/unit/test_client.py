"""What the command line says of a request that the platform refused."""

import pytest

from autobot.client import ApiError, raise_for_error


@pytest.mark.parametrize(
    ("status", "content", "said"),
    [
        (404, b'{"title": "Not Found", "detail": "There is no key."}', "404: There is no key."),
        (400, b'{"error": {"message": "No such model."}}', "400: No such model."),
        (400, b'{"error": "no such model"}', "400: no such model"),
        (503, b"<html>busy</html>\n", "503: <html>busy</html>"),
        (503, b'{"status": "starting"}', '503: {"status": "starting"}'),
        (503, b'{"detail": null}', '503: {"detail": null}'),
        (503, b"[]", "503: []"),
        (503, b"", "503: Service Unavailable"),
        (599, b"", "599: no reason"),
    ],
)
def test_an_error_is_told_with_the_best_reason_there_is(
    status: int, content: bytes, said: str
) -> None:
    with pytest.raises(ApiError) as error:
        raise_for_error(status, content)
    assert str(error.value) == said


def test_what_went_well_is_no_error() -> None:
    raise_for_error(204, b"")
