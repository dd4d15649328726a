"""Flows that run again and again: what is scheduled, when, and what plays it."""
