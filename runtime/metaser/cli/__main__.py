"""`python -m metaser.cli` is the `metaser` command."""

from metaser.cli.main import main

main()
