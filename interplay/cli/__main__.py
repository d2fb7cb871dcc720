"""``python -m interplay.cli``: the same as the ``interplay`` command."""

from interplay.cli import main

main()
