"""The files of both pages, read once into memory: no path of a call reaches the disk."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response

from rlhf_core.labelling.server.refusals import Refusal

FOLDER = Path(__file__).parents[1] / "page"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class PageFile:
    """One file."""

    content: bytes
    content_type: str
    digest: str


@dataclass(frozen=True)
class Pages:
    """All files by their path in the folder."""

    files: dict[str, PageFile]
    version: str
    """Digest of all of them."""


def read_pages(folder: Path = FOLDER) -> Pages:
    """Read the files of a folder and of those in it."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in TYPES and path.is_file():
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:32]
            files[path.relative_to(folder).as_posix()] = PageFile(
                content, TYPES[path.suffix], digest
            )
    every = "".join(f"{name} {file.digest}\n" for name, file in files.items())
    return Pages(files, hashlib.sha256(every.encode()).hexdigest()[:12])


def page_routes(pages: Pages) -> APIRouter:
    """Both pages and what they are made of. They hold no data, so anybody may have them."""
    router = APIRouter()

    def answer(call: Request, name: str, cache: str) -> Response:
        file = pages.files.get(name)
        if file is None:
            raise Refusal(404, "There is no such file.")
        headers = {"ETag": f'"{file.digest}"', "Cache-Control": cache}
        if call.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(file.content, media_type=file.content_type, headers=headers)

    @router.get("/label")
    @router.get("/join/{token}")
    async def annotator_page(call: Request) -> Response:
        """The annotator's page."""
        return answer(call, "annotator.html", "no-store")

    @router.get("/owner")
    async def owner_page(call: Request) -> Response:
        """The owner's page."""
        return answer(call, "owner.html", "no-store")

    @router.get("/static/{file:path}")
    async def static(call: Request, file: str) -> Response:
        """A file of the pages."""
        return answer(call, file, "no-cache")

    @router.get("/health")
    async def health() -> dict[str, str]:
        """Says that the server is up."""
        return {"status": "up"}

    return router
