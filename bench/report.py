"""What people see: a line now and then while it measures, and a table at the end."""

from collections.abc import Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table

from bench.figure import Figure

console = Console(highlight=False)


def say(line: str) -> None:
    """Tell how it goes."""
    console.print(f"  {line}", style="dim")


def show(figures: Sequence[Figure]) -> None:
    """Print the table."""
    table = Table(box=None, pad_edge=False)
    for heading in ("figure", "ours", "", "peer", "", "ratio", "goal", "met"):
        justify: Literal["left", "right"] = "right" if heading in {"ours", "peer", "ratio"} else "left"
        table.add_column(heading, justify=justify, no_wrap=heading == "figure")
    for figure in figures:
        peer, ratio = figure.peer, figure.ratio
        table.add_row(
            figure.name,
            _number(figure.ours),
            figure.unit,
            "" if peer is None else _number(peer.value),
            "" if peer is None else peer.name,
            "" if ratio is None else f"{ratio:.2f}",
            figure.goal.describe(figure.unit),
            "[green]yes[/]" if figure.is_met else "[red]no[/]",
        )
    console.print(table)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.3g}"
