"""`python -m daemon` is `atmsd`."""

from daemon.cli import main

main()
