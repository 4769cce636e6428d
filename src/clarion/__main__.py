"""`python -m clarion` is `clarion`."""

from clarion.cli import main

main()
