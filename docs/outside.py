"""Finds what built pages would load from another host: `python -m docs.outside FOLDER`.

The site must work without the internet. Links may lead anywhere; scripts, styles, fonts and pictures may not.
`scripts/docs` runs this after the site was built, and a test over a site of its own.
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import click

_FOREIGN: Final = re.compile(r"(?:[a-z]+:)?//", re.IGNORECASE)
_IN_STYLE: Final = re.compile(r"(?:url\(|@import)\s*['\"]?((?:[a-z]+:)?//[^'\")\s]+)", re.IGNORECASE)
_NOT_LOADED: Final = {("a", "href"), ("form", "action")}
_ADDRESSES: Final = {"href", "src", "srcset", "action", "data", "poster"}


def find_outside(folder: Path) -> Iterator[str]:
    """Yield a line per place in HTML or CSS that names something of another host to load."""
    for path in sorted(folder.rglob("*.html")):
        reader = _Reader()
        text = path.read_text(encoding="utf-8")
        reader.feed(text)
        yield from (f"{path.relative_to(folder)}: {what}" for what in reader.found)
        yield from _styles(path.relative_to(folder), "\n".join(reader.styles))
    for path in sorted(folder.rglob("*.css")):
        yield from _styles(path.relative_to(folder), path.read_text(encoding="utf-8"))


class _Reader(HTMLParser):
    """Collects what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.styles: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at the addresses of an element; a canonical link is not loaded."""
        self._in_style = tag == "style"
        values = dict(attrs)
        is_loaded = values.get("rel") != "canonical"
        for name, value in attrs:
            loads = name in _ADDRESSES and (tag, name) not in _NOT_LOADED and is_loaded
            if loads and value and _FOREIGN.match(value):
                self.found.append(f"<{tag} {name}={value}>")
            if name == "style" and value:
                self.styles.append(value)

    def handle_data(self, data: str) -> None:
        """Keep the text of style elements."""
        if self._in_style:
            self.styles.append(data)

    def handle_endtag(self, tag: str) -> None:
        """Leave a style element."""
        self._in_style = self._in_style and tag != "style"


def _styles(path: Path, text: str) -> Iterator[str]:
    return (f"{path}: {address}" for address in _IN_STYLE.findall(text))


def main() -> None:
    """Exit with status 1 when something would be loaded from elsewhere."""
    found = list(find_outside(Path(sys.argv[1])))
    for line in found:
        click.echo(f"loads from another host: {line}", err=True)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
