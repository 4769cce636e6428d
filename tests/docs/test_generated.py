"""The generated parts of the pages say what the code says."""

import re
from pathlib import Path

import pytest
from docs.generate import PARTS, ROOT, pages, render


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_is_as_the_code_would_write_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text == render(text), "run scripts/docs"


def test_every_part_that_can_be_generated_stands_in_one_page() -> None:
    texts = [path.read_text(encoding="utf-8") for path in pages()]
    used = [name for text in texts for name in re.findall(r"<!-- generated: (\S+) -->", text)]
    assert sorted(used) == sorted(PARTS)


def test_every_part_is_closed() -> None:
    for path in pages():
        text = path.read_text(encoding="utf-8")
        assert text.count("<!-- generated: ") == text.count("<!-- /generated -->"), path
