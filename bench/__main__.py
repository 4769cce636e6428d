"""The command line of `scripts/bench`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import uvloop

from bench.figure import Figure, MeasureError
from bench.figures import FIGURES
from bench.machine import Machine, look_around
from bench.report import console, show


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(FIGURES)), metavar="[NAME]…")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures here."
)
def main(names: Sequence[str], json_file: Path | None) -> None:
    """Measure Clarion beside its peers. Without names: everything."""
    try:
        machine = look_around()
    except MeasureError as error:
        raise click.ClickException(str(error)) from None
    if not machine.has_two_cores:
        console.print("Only one core: the load shares it with what is measured, so all rates are too low.")
    figures, failed = uvloop.run(_measure(machine, names or list(FIGURES)))
    show(figures)
    if json_file is not None:
        json_file.write_text(json.dumps([figure.as_json() for figure in figures], indent=2) + "\n")
        console.print(f"Written to {json_file.absolute()}")
    sys.exit(1 if failed else 0)


async def _measure(machine: Machine, names: Sequence[str]) -> tuple[list[Figure], bool]:
    figures: list[Figure] = []
    failed = False
    for name in names:
        console.print(name, style="bold")
        try:
            figures += await FIGURES[name](machine)
        except MeasureError as error:
            failed = True
            console.print(f"{name}: {error}", style="red", markup=False)
    return figures, failed


main()
