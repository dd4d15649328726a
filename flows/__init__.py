"""Prefect flows and the `rlhf` command."""
