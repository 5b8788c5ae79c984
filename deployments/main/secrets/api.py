"""`/api/secrets`: set, listed and removed by keys of scope `secret`. No route returns a value."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from autobot.contracts.secrets import LONGEST, SecretInfo, Secrets
from autobot.errors import Invalid, TooLarge
from autobot.keys import KeyRecord
from autobot.web.auth import require
from deployments.main.secrets.schemas import SecretDetail

Caller = Annotated[KeyRecord, Depends(require("secret"))]
VALUE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"text/plain": {"schema": {"type": "string", "minLength": 4}}},
    }
}


def secret_routes(secrets: Secrets) -> APIRouter:
    """The routes of secrets."""
    router = APIRouter(prefix="/api/secrets", tags=["secrets"])

    @router.get("")
    async def list_secrets(caller: Caller) -> list[SecretDetail]:
        """List the secrets by name, without their values."""
        return [_detail(info) for info in await secrets.all()]

    @router.put("/{name}", openapi_extra=VALUE)
    async def set_secret(name: str, request: Request, caller: Caller) -> SecretDetail:
        """Keep the body, which is UTF-8, as the secret's value; steps that begin from now on get
        it. A name has capital letters, digits and underlines, a value 4 characters to 64 KiB."""
        return _detail(await secrets.set(name, await _value(request), caller.id))

    @router.delete("/{name}", status_code=204)
    async def remove_secret(name: str, caller: Caller) -> None:
        """Remove it. Steps that use it and begin later fail."""
        await secrets.remove(name)

    return router


async def _value(request: Request) -> str:
    """The body, of which no more is read than a value may have."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST:
            raise TooLarge(f"A secret's value has at most {LONGEST} bytes.")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise Invalid("The value is not UTF-8.") from None  # its cause would show the value


def _detail(info: SecretInfo) -> SecretDetail:
    instants = {
        name: datetime.fromtimestamp(getattr(info, name) / 1000, UTC)
        for name in ("created", "changed")
    }
    return SecretDetail.model_validate(asdict(info) | instants)
