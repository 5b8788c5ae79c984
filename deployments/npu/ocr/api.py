"""`POST /api/ocr`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.datastructures import UploadFile

from autobot.errors import Invalid
from autobot.keys import KeyRecord
from autobot.web.auth import require
from autobot.web.disconnect import unless_disconnected
from deployments.npu.error_responses import PROBLEM, error_responses, origin_headers
from deployments.npu.ocr.schemas import OcrAnswer
from deployments.npu.ocr.service import MAX_IMAGE_BYTES, Reader, too_large

OCR_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "string", "format": "binary"}},
            }
        },
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        "application/pdf": {"schema": {"type": "string", "format": "binary"}},
    },
}


def ocr_routes(reader: Reader, engine: str) -> APIRouter:
    """Return the OCR endpoint around ``reader``; ``engine`` goes into the answer."""
    router = APIRouter(tags=["npu"])
    asked = Query(ge=1, le=1 << 20, description="The only page to read, from 1.")

    @router.post(
        "/api/ocr",
        openapi_extra={"requestBody": OCR_BODY},
        responses=error_responses(PROBLEM),
    )
    async def ocr(
        request: Request,
        response: Response,
        key: Annotated[KeyRecord, Depends(require("npu"))],
        page: Annotated[int | None, asked] = None,
    ) -> OcrAnswer:
        """Read the text in an image or in the pages of a PDF or TIFF: the bytes as the body, or a
        form with a field `file`. Without `page` every page is read, of which there may be 20; of
        an animation it is the first picture."""
        image = await _image_of(request)
        reading = await unless_disconnected(request, reader.read(image, page, key.id))
        response.headers.update(origin_headers(reading.model, reading.device, engine))
        return OcrAnswer.of(reading, engine)

    return router


async def _image_of(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return await (_uploaded(request) if kind == "multipart/form-data" else _body(request))


async def _body(request: Request) -> bytes:
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > MAX_IMAGE_BYTES:
            raise too_large(int(request.headers.get("content-length", len(received))))
    return bytes(received)


async def _uploaded(request: Request) -> bytes:
    async with request.form(max_files=1, max_fields=8) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise Invalid("The form has no file in a field called `file`.")
        if (file.size or 0) > MAX_IMAGE_BYTES:
            raise too_large(file.size or 0)
        return await file.read()
