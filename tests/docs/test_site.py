"""The site is built without a warning and works without the internet."""

import subprocess
import sys
from pathlib import Path

import pytest
from docs.generate import ROOT
from docs.outside import find_outside


def test_the_site_is_built_strictly_and_loads_nothing_from_other_hosts(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "index.html").exists()
    assert not list(tmp_path.rglob("*.py"))
    assert list(find_outside(tmp_path)) == []


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example.com/x.js"></script>',
        '<link rel="stylesheet" href="//cdn.example.com/x.css">',
        '<img srcset="https://cdn.example.com/x.png 2x">',
        "<style>@import 'https://fonts.example.com/x.css';</style>",
        '<p style="background: url(https://cdn.example.com/x.png)">',
    ],
)
def test_what_would_come_from_another_host_is_found(html: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(html)
    assert len(list(find_outside(tmp_path))) == 1


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://example.com">elsewhere</a>',
        '<link rel="canonical" href="https://example.com/index.html">',
        '<script src="js/x.js"></script><img src="x.png"><style>p { background: url(x.png) }</style>',
    ],
)
def test_links_and_what_lies_beside_a_page_are_fine(html: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(html)
    assert list(find_outside(tmp_path)) == []
