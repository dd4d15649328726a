"""Retraining: whether a newly trained policy (challenger) takes the place of the one in use.

`trial` plays both on the same start states, `improvement` tests the paired returns, `drift` tells
whether labels or observations have changed, `guards` lists what must not get worse, `gate` decides.
"""
