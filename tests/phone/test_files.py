"""What is served below `/phone`, and with which headers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from clarion.api import errors, phone
from clarion.model.errors import Refusal


@pytest.fixture
def http(tmp_path: Path) -> Iterator[TestClient[Litestar]]:
    """A client of a folder's files."""
    for name, text in {
        "app/index.html": "<!doctype html>",
        "app/jigs/promotion.json": "{}",
        "app/secret.py": "",
        "client/clarion.js": "export {};",
        "outside.js": "",
    }.items():
        file = tmp_path / "phone" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    router = phone.create_router(phone.read_files(tmp_path / "phone"))
    app = Litestar(
        [router],
        exception_handlers={Refusal: errors.answer_refusal},
        openapi_config=None,
        logging_config=None,
    )
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/phone/", "text/html; charset=utf-8"),
        ("/phone/?notificationId=x", "text/html; charset=utf-8"),
        ("/phone/index.html", "text/html; charset=utf-8"),
        ("/phone/jigs/promotion.json", "application/json"),
        ("/phone/client/clarion.js", "text/javascript; charset=utf-8"),
    ],
)
def test_a_file_is_answered_as_what_it_is(http: TestClient[Litestar], path: str, media_type: str) -> None:
    answer = http.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["service-worker-allowed"] == "/phone/"
    assert "default-src 'none'; script-src 'self'" in answer.headers["content-security-policy"]


def test_a_file_that_the_browser_has_is_not_sent_again(http: TestClient[Litestar]) -> None:
    first = http.get("/phone/client/clarion.js")
    assert first.headers["cache-control"] == "no-cache"
    again = http.get("/phone/client/clarion.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    weak = http.get("/phone/client/clarion.js", headers={"If-None-Match": f'"x", W/{first.headers["etag"]}'})
    assert weak.status_code == 304
    assert http.get("/phone/", headers={"If-None-Match": first.headers["etag"]}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/phone/nothing.js", "/phone/secret.py", "/phone/client", "/phone/client/", "/phone/app/index.html",
        "/phone/outside.js", "/phone/../outside.js", "/phone/client/../../outside.js",
        "/phone/client/%2e%2e/outside.js", "/phone//etc/passwd", "/phone/client/..%2f..%2foutside.js",
    ],
)  # fmt: skip
def test_nothing_else_is_there(http: TestClient[Litestar], path: str) -> None:
    assert http.get(path).status_code == 404


def test_the_app_has_a_slash_at_its_end(http: TestClient[Litestar]) -> None:
    answer = http.get("/phone?notificationId=x", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (308, "/phone/?notificationId=x")
