"""Implicit feedback: how clicks come about, what a log of them holds, and how they are corrected.

A click on an item of a slate depends on the item and on its position. `models.py` holds the click
models of the literature, `log.py` what an environment logs, `propensities.py` how the influence of
the position is estimated by swapping items, and `correction.py` how it is taken out.
"""
