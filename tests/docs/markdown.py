"""What tests ask of a page: its fenced blocks, its headings, its links. Knows as much of Markdown as our pages use."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docs.generate import DOCS, ROOT, pages

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`[^`\n]*`")


@dataclass(frozen=True)
class Block:
    """A fenced block; `line` counts from 1."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def everything() -> list[Path]:
    """The pages, and what stands beside them for people."""
    return [*pages(), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))]


def read(name: str) -> str:
    """A page by its name below docs/."""
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(*languages: str, of: str | None = None) -> list[Block]:
    """All fenced blocks in these languages, of one page or of everything."""
    paths = everything() if of is None else [DOCS / of]
    return [block for path in paths for block in _blocks(path) if block.language in languages]


def _blocks(path: Path) -> Iterator[Block]:
    text = path.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        yield Block(path, text.count("\n", 0, found.start()) + 1, found[1], found[2])


def anchors(path: Path) -> set[str]:
    """What a link to this page may name after the `#`."""
    return {_anchor(heading) for heading in _HEADING.findall(_without_blocks(path))}


def links(path: Path) -> list[str]:
    """Where a page leads."""
    return _LINK.findall(_CODE.sub("", _without_blocks(path).replace("[`", "[").replace("`]", "]")))


def _without_blocks(path: Path) -> str:
    return _BLOCK.sub("", path.read_text(encoding="utf-8"))


def _anchor(heading: str) -> str:
    plain = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
