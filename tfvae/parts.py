"""Parts of models by the names that recipes use."""

import inspect
from collections.abc import Mapping
from typing import Any

from tfvae.errors import did_you_mean


def part_of(argument: str, known: Mapping[str, type], name: Any, options: dict[str, Any]) -> Any:
    """The part of that name with its settings.

    Args:
        argument: What the caller calls it.
        known: Classes by name.
        name, options: Of the class wanted, and arguments of its constructor.

    Raises:
        ValueError: If there is none of that name, or it takes no such setting; and as its constructor.
    """
    if name not in known:
        wanted = did_you_mean(str(name), known)
        raise ValueError(f"`{argument}` must be one of {', '.join(known)}.{wanted} Received: {argument}={name!r}")
    takes = inspect.signature(known[name]).parameters
    if any(one.kind is one.VAR_KEYWORD for one in takes.values()):
        return known[name](**options)  # a Keras layer, which says itself what it does not take
    if unknown := [key for key in options if key not in takes]:
        raise ValueError(f"`{argument}` '{name}' takes {', '.join(takes)}. Received: {', '.join(unknown)}")
    return known[name](**options)
