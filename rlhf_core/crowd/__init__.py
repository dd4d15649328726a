"""Crowds of workers: simulated judgements, assignment of questions, and models of reliability."""
