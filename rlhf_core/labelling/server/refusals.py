"""Answers of the server that refuses or fails: `{"error": "one sentence"}`, and nothing secret."""

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from rlhf_core.errors import (
    BrokenEnvironmentError,
    ConfigurationError,
    LabellingError,
    RlhfError,
    RunError,
    StoreError,
)

log = logging.getLogger("rlhf.labelling")

STATUS = {"unknown": 404, "gone": 410, "conflict": 409}
"""By the reason of a `LabellingError`."""
SENTENCES = {
    404: "There is nothing at this address.",
    405: "This address does not take calls of this kind.",
}


class Refusal(Exception):  # noqa: N818, it is no failure
    """A call that is refused with a status and a sentence."""

    def __init__(
        self, status: int, sentence: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, dict(headers or {})


def refusal(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer that refuses a call."""
    return JSONResponse({"error": sentence}, status, headers=dict(headers or {}))


def answer_errors(app: FastAPI) -> None:
    """Turn exceptions into answers."""
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _not_served)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(RlhfError, _failed)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    return refusal(error.status, error.sentence, error.headers)


async def _not_served(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    sentence = SENTENCES.get(error.status_code, "The call cannot be read.")
    return refusal(error.status_code, sentence, error.headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    # What came is not repeated: it may be a secret.
    field = ".".join(str(part) for part in first["loc"][1:]) or "body"
    return refusal(422, f"{field[:80]}: {str(first['msg'])[:200]}")


async def _failed(call: Request, error: Exception) -> JSONResponse:
    if isinstance(error, LabellingError):
        return refusal(STATUS.get(error.reason, 400), _sentence(str(error)))
    if isinstance(error, RunError | BrokenEnvironmentError):
        return refusal(409, _sentence(str(error)))
    if isinstance(error, ConfigurationError):
        return refusal(422, _sentence(str(error)))
    log.error("%s: %s", type(error).__name__, error)
    if isinstance(error, StoreError):
        return refusal(503, "The label store does not answer now. Try again.", {"Retry-After": "2"})
    return refusal(500, "The server failed.")


def _sentence(text: str) -> str:
    """The text with a capital letter, unless it begins with the name of a field."""
    begins_with_field = ":" in text.split(" ", 1)[0]
    return text if begins_with_field else text[:1].upper() + text[1:]
