"""``python -m edgeseg``."""

from edgeseg.cli import main

main()
