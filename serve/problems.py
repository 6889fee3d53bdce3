"""What goes wrong, as RFC 9457 problem details: one shape for every error of every route."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from sigflow.config import Config

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = {"Retry-After": "1"}  # headers of a 503 that the next second may mend
_LONGEST = 500  # characters of a detail: it may quote what a client sent


class Problem(Config):
    """RFC 9457 problem details; under /v2 also `error`, the detail as the Open Inference Protocol calls it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    error: str | None = None


class ProblemError(Exception):
    """Ends a request with this status; `detail` says what to change."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})


class BadInputError(ProblemError):
    """The request was understood and makes no sense; the message says what to change."""

    def __init__(self, detail: str) -> None:
        super().__init__(422, detail)


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, request: Request | None = None
) -> JSONResponse:
    """The response to `request`."""
    detail = detail[:_LONGEST].encode("utf-8", "replace").decode()  # JSON may hold halves of characters
    error = detail if request is not None and _is_oip(request) else None
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, error=error)
    return JSONResponse(body.model_dump(exclude_none=True), status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def _is_oip(request: Request) -> bool:
    path: str = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return path == "/v2" or path.startswith("/v2/")


def answer_errors_as_problems(api: FastAPI) -> None:
    """Also those of FastAPI and Starlette, and those that nobody foresaw."""

    @api.exception_handler(ProblemError)
    async def ours(request: Request, error: ProblemError) -> JSONResponse:
        return problem(error.status, error.detail, error.headers, request)

    @api.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return problem(422, f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}", request=request)

    @api.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail), error.headers, request)

    @api.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        return problem(500, "an error of the server's own; its log has more", request=request)
