"""The `interplay` command."""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script."""
    from interplay.cli.root import run

    run()
