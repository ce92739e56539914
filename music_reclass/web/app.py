"""The application: pages, API and static files behind the checks of who may ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from music_reclass import __version__
from music_reclass.errors import DatabaseError, NothingToDo, ReclassError, TrackError
from music_reclass.utils.lazy import require
from music_reclass.web.access import Access, App, guarded
from music_reclass.web.jobs import Busy

if TYPE_CHECKING:
    from music_reclass.web.work import Work

FOLDER = Path(__file__).parent
_THREADS = 8  # requests at work at once; each has a connection to the library


def application(work: Work, access: Access) -> App:
    """The ASGI application behind the checks of `access`."""
    from music_reclass.web import api, pages

    fastapi = require("fastapi", "web")

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        import anyio.to_thread

        anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
        try:
            yield
        finally:
            work.close()

    app = fastapi.FastAPI(
        title="reclass",
        version=__version__,
        summary="The genres of a music library: tracks, decisions, runs, and the work on them.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    for error, status in (
        (Busy, 409), (NothingToDo, 404), (DatabaseError, 503), (ReclassError, 400), (TrackError, 422),
    ):  # fmt: skip
        app.add_exception_handler(error, _answer_with(status))
    app.state.work = work
    app.include_router(api.router, prefix="/api/v1")
    app.include_router(pages.router)
    static = require("fastapi.staticfiles", "web").StaticFiles(directory=FOLDER / "static")
    app.mount("/static", static)
    return guarded(app, access, pages.sign_in)


def _answer_with(status: int) -> Any:
    """A handler that answers an error that the user can mend by its sentence."""
    from fastapi.responses import JSONResponse

    def answer(_: Any, error: Exception) -> Any:
        return JSONResponse({"detail": str(error)}, status_code=status)

    return answer
