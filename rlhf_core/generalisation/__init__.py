"""How well policies do in a physics that they were not trained in (Packer et al. 2018,
https://arxiv.org/abs/1810.12282).

A policy is trained once in each physics and measured in all of them. A physics is a set of contexts
(`rlhf_core.environments.contexts`).
"""
