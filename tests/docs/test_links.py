"""Links lead somewhere."""

from pathlib import Path

import pytest
from docs.generate import ROOT

from tests.docs.markdown import anchors, everything, links


@pytest.mark.parametrize("path", everything(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_resolves(path: Path) -> None:
    for link in links(path):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_that_the_code_names_exists() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        for word in path.read_text(encoding="utf-8").replace("`", " ").split():
            if word.startswith("docs/") and word.endswith(".md"):
                assert (ROOT / word).exists(), f"{path}: {word}"
