"""`python -m striate` is `striate`."""

from striate.cli import main

main()
