"""Every refusal's HTTP status, in one table, and the one shape in which errors are told.

    {"message": "<plain sentence>", "code": "<stable_word>", "details": [{"path": "…", "message": "…"}]}

`docs/errors.md` explains each code to callers; a test keeps table and page equal.
"""

from typing import Any, Final

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from clarion.model.errors import (
    Conflict,
    Forbidden,
    Invalid,
    IssuerUnavailable,
    NotFound,
    NotJson,
    Refusal,
    StoreUnavailable,
    TooLarge,
    TooManyRequests,
    TooManyStreams,
    TooOld,
    TooSlow,
    Unauthenticated,
    WrongRegion,
)

logger = structlog.get_logger()

STATUS: Final[dict[type[Refusal], int]] = {
    Invalid: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    TooSlow: 408,
    Conflict: 409,
    TooOld: 410,
    TooLarge: 413,
    NotJson: 415,
    WrongRegion: 421,
    TooManyRequests: 429,
    TooManyStreams: 503,
    IssuerUnavailable: 503,
    StoreUnavailable: 503,
}


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """Tell whatever went wrong."""
    match error:
        case Refusal():
            return answer_refusal(request, error)
        case HTTPException():
            return answer_http_error(request, error)
    return answer_fault(request, error)


def answer_refusal(_request: Request[Any, Any, Any], refusal: Refusal) -> Response[dict[str, Any]]:
    """Tell a refusal as HTTP."""
    body: dict[str, Any] = {
        "message": refusal.message,
        "code": refusal.code,
        "details": [{"path": fault.path, "message": fault.message} for fault in refusal.faults],
    }
    if isinstance(refusal, WrongRegion):
        body |= {"region": refusal.region, "baseUrl": refusal.base_url}
    return Response(body, status_code=STATUS[type(refusal)], headers=_headers(refusal))


def answer_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    """Tell what the framework found: an unknown path, or an unknown method, which is the same to a caller."""
    if error.status_code in {404, 405}:
        message = f"There is nothing at {request.method} {request.scope['path']}."
        return answer_refusal(request, NotFound(message, code="unknown_path"))
    if error.status_code >= 500:
        return answer_fault(request, error)
    return answer_refusal(request, Invalid(error.detail or "The request cannot be read."))


def answer_fault(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """A fault of ours: logged whole, told without details."""
    logger.error("unexpected_error", path=request.scope["path"], exc_info=error)
    body = {
        "message": "Clarion failed to answer; the fault is logged.",
        "code": "internal_error",
        "details": [],
    }
    return Response(body, status_code=500)


def _headers(refusal: Refusal) -> dict[str, str]:
    match refusal:
        case Unauthenticated():
            return {"WWW-Authenticate": "Bearer"}
        case (
            IssuerUnavailable(retry_after_seconds=seconds)
            | StoreUnavailable(retry_after_seconds=seconds)
            | TooManyRequests(retry_after_seconds=seconds)
            | TooManyStreams(retry_after_seconds=seconds)
        ):
            return {"Retry-After": str(seconds)}
        case TooLarge() | TooSlow():
            return {"Connection": "close"}  # the rest of the body is not read
    return {}
