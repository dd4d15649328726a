"""The life of a run: its states, its lease, who closes it."""
