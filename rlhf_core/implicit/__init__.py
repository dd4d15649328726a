"""Implicit feedback: labels that are read from what users do, without a question.

    annotator   answers ratings by labels of steps, and passes other questions on
    signs       where an environment shows what the users of a dialogue do

The log of clicks on slates has a room of its own, `rlhf_core.clicks`.
"""
