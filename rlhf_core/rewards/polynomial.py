"""Rewards that are linear in their inputs, or in their inputs and those squared.

    r(x) = w_0 + sum over i of (u_i x_i + v_i x_i^2)

x are the standardised inputs. Rewards of control tasks are often of this kind (a distance, a speed,
an effort), and a few labels then determine them, where a network needs many.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def monomial_count(features: int, degree: int) -> int:
    """P, weights of a polynomial of degree 1 or 2 without products of different inputs."""
    return 1 + degree * features


def monomials(features: Float[Tensor, "B F"], count: int) -> Float[Tensor, "B P"]:
    """1, the inputs and, where P asks for them, their squares.

    Args:
        features: x, standardised inputs.
        count: P, as `monomial_count` gives it.
    """
    parts = [torch.ones_like(features[:, :1]), features]
    if count > 1 + features.shape[1]:
        parts.append(features.square())
    return torch.cat(parts, dim=1)
