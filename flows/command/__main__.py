"""`python -m flows.command` is the `rlhf` command."""

from flows.command.app import main

main()
