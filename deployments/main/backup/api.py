"""`/api/backup`: the data of the whole platform."""

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from autobot.contracts.backup import Backup
from autobot.web.auth import require


def backup_routes(data: Backup) -> APIRouter:
    """``data`` is asked for the snapshot; the route needs a key of scope `admin`."""
    router = APIRouter(tags=["platform"], dependencies=[Depends(require("admin"))])

    @router.get("/api/backup")
    async def backup() -> Response:
        """Redis' snapshot of this moment; `autobot backup` packs it with a manifest."""
        return Response(await data.snapshot(), media_type="application/octet-stream")

    return router
