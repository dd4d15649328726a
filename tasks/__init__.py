"""Stages of a run as Prefect tasks: load, call one core function, save, log."""
