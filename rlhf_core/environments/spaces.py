"""The supported spaces, and the encoding of their values as features of a network."""

from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from jaxtyping import Float, Shaped

from rlhf_core.errors import ConfigurationError, UnsupportedSpaceError

OBSERVATIONS = "Box, Discrete, MultiDiscrete, MultiBinary, and Dict or Tuple of these"
ACTIONS = "Box with finite bounds, Discrete, MultiDiscrete, MultiBinary"


class Spaces(NamedTuple):
    """Observation and action space of a policy."""

    observation: spaces.Space[Any]
    action: spaces.Space[Any]


def check_observation_space(space: spaces.Space[Any], environment: str) -> None:
    """Raise `UnsupportedSpaceError` for an observation space that is not supported.

    Dict and Tuple spaces are allowed here because `factory.make` flattens them into a Box.
    """
    parts: list[spaces.Space[Any]] = [space]
    while parts:
        part = parts.pop()
        if isinstance(part, spaces.Dict):
            parts.extend(part.spaces.values())
        elif isinstance(part, spaces.Tuple):
            parts.extend(part.spaces)
        elif not isinstance(
            part, (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
        ):
            raise UnsupportedSpaceError(
                f"environment.id: {environment} has observations of {type(part).__name__}; "
                f"supported: {OBSERVATIONS}. Wrap the environment to give one of these."
            )


def check_action_space(space: spaces.Space[Any], environment: str) -> None:
    """Raise `UnsupportedSpaceError` for an action space that is not supported."""
    reason = None
    if isinstance(space, spaces.Box):
        if not np.isfinite(space.low).all() or not np.isfinite(space.high).all():
            reason = "a Box without finite bounds"
        elif not np.issubdtype(space.dtype, np.floating):
            reason = f"a Box of {space.dtype}"
    elif isinstance(space, spaces.Discrete):
        if space.start != 0:
            reason = f"Discrete starting at {space.start}"
    elif isinstance(space, spaces.MultiDiscrete):
        if space.nvec.ndim != 1:
            reason = f"MultiDiscrete of {space.nvec.ndim} dimensions"
        elif space.start.any():
            reason = f"MultiDiscrete starting at {space.start.tolist()}"
    elif isinstance(space, spaces.MultiBinary):
        if len(space.shape) != 1:
            reason = f"MultiBinary of {len(space.shape)} dimensions"
        elif not isinstance(space.n, int):
            reason = f"MultiBinary({space.n!r}) instead of MultiBinary({space.shape[0]})"
    else:
        reason = type(space).__name__
    if reason is not None:
        raise UnsupportedSpaceError(
            f"environment.id: {environment} has actions of {reason}; supported: {ACTIONS} "
            "(categories from 0, one-dimensional). Wrap the environment to give one of these."
        )


def needs_flattening(space: spaces.Space[Any]) -> bool:
    """Whether Stable-Baselines3 needs the space as a flat Box with one-hot categories."""
    if isinstance(space, spaces.Discrete):
        return bool(space.start != 0)
    if isinstance(space, spaces.MultiDiscrete):
        return space.nvec.ndim != 1 or bool(space.start.any())
    return isinstance(space, (spaces.Dict, spaces.Tuple))


def is_row(space: spaces.Space[Any]) -> bool:
    """Whether observations are a one-dimensional row of numbers."""
    return isinstance(space, spaces.Box) and len(space.shape) == 1


def is_image(space: spaces.Space[Any]) -> bool:
    """Whether observations are images: bytes with three axes, the channels first or last."""
    return isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3


def channel_axis(space: spaces.Space[Any]) -> int:
    """The axis of an image's channels: the shorter one of the first and the last."""
    shape = space.shape or ()
    return 0 if shape[0] < shape[-1] else 2


def flat(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """Return the space for a network of dense layers: an image is one row, from 0 to 1.

    Stable-Baselines3 transposes the axes of images itself, and only while it trains.
    """
    return spaces.Box(0, 1, (int(np.prod(space.shape or ())),)) if is_image(space) else space


def flattened(space: spaces.Space[Any], values: Shaped[np.ndarray, "B ..."]) -> np.ndarray:
    """Convert values of a space to values of its `flat` space."""
    return encode(space, values) if is_image(space) else values


def encode(
    space: spaces.Space[Any], values: Shaped[np.ndarray, "B ..."]
) -> Float[np.ndarray, "B features"]:
    """Encode values as features: categories one-hot, bytes over 255, other numbers unchanged."""
    batch = len(values)
    if isinstance(space, spaces.Discrete):
        return _one_hot(values.reshape(batch).astype(np.int64) - int(space.start), int(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        digits = (values - space.start).reshape(batch, -1).astype(np.int64)
        sizes = space.nvec.ravel()
        return np.concatenate(
            [_one_hot(digits[:, i], int(size)) for i, size in enumerate(sizes)], axis=1
        )
    flat = values.reshape(batch, -1).astype(np.float32)
    bytes_ = values.dtype == np.uint8
    return np.divide(flat, 255, dtype=np.float32) if bytes_ else flat


def _one_hot(index: np.ndarray, size: int) -> Float[np.ndarray, "B size"]:
    rows: np.ndarray = np.eye(size, dtype=np.float32)[index]
    return rows


def describe(space: spaces.Space[Any]) -> dict[str, Any]:
    """Describe a space as JSON, for a model that acts where the environment is not installed."""
    if isinstance(space, spaces.Box):
        bounds = {"low": space.low.tolist(), "high": space.high.tolist()}
        return {"type": "Box", "dtype": str(space.dtype), **bounds}
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete):
        sizes = {"nvec": space.nvec.tolist(), "start": space.start.tolist()}
        return {"type": "MultiDiscrete", **sizes}
    if isinstance(space, spaces.MultiBinary):
        return {"type": "MultiBinary", "shape": list(space.shape)}
    raise UnsupportedSpaceError(f"expected one of {OBSERVATIONS}, actual: {space}")


def check_kinds(
    actual: Spaces, expected: Spaces, whose: str, hint: str = "", field: str = "environment"
) -> None:
    """Check that observations and actions are of the kind that a policy knows.

    Args:
        actual: where the policy shall act; bounds may differ, as another physics moves them.
        expected: where it was trained.
        whose: whose kind is expected, for the message, such as `of run 3f2a`.
        hint: what to do about it, for the end of the message.
        field: that is checked, for its beginning.

    Raises:
        ConfigurationError: a space is of another kind.
    """
    for name, ours, theirs in zip(actual._fields, actual, expected, strict=True):
        if _kind(ours) != _kind(theirs):
            raise ConfigurationError(
                f"{field}: expected {name}s of the kind {whose}, {_kind(theirs)}, actual: "
                f"{_kind(ours)}{hint}"
            )


def _kind(space: spaces.Space[Any]) -> dict[str, Any]:
    """Describe a space without its bounds."""
    facts = {key: value for key, value in describe(space).items() if key not in ("low", "high")}
    return {**facts, "shape": space.shape}


def build(description: dict[str, Any]) -> spaces.Space[Any]:
    """Make the space of a description by `describe`."""
    match description["type"]:
        case "Box":
            dtype = np.dtype(description["dtype"])
            low, high = (np.array(description[side], dtype) for side in ("low", "high"))
            return spaces.Box(low, high, dtype=dtype.type)
        case "Discrete":
            return spaces.Discrete(description["n"], start=description["start"])
        case "MultiDiscrete":
            return spaces.MultiDiscrete(
                np.array(description["nvec"]), start=np.array(description["start"])
            )
        case "MultiBinary":
            shape = description["shape"]
            return spaces.MultiBinary(shape[0] if len(shape) == 1 else shape)
        case other:
            raise UnsupportedSpaceError(f"expected one of {OBSERVATIONS}, actual: {other}")


def within(spaces_: Spaces, actions: np.ndarray) -> np.ndarray:
    """Convert outputs of a network to actions within their bounds."""
    space = spaces_.action
    array = actions.reshape(-1, *(space.shape or ()))
    if isinstance(space, spaces.Box):
        array = np.clip(array, space.low, space.high)
    return array.astype(space.dtype, copy=False)
