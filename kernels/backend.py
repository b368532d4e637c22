"""Which implementation of an op runs: the one that is asked for, or the one made for the device.

Knows no op. An op's `api.py` lists its implementations and asks here, once a call.
"""

from collections.abc import Callable, Mapping

import torch

# The implementation that runs on a device when none is asked for.
DEFAULTS: Mapping[str, str] = {}


def choose(implementations: Mapping[str, Callable], backend: str | None, device: torch.device) -> Callable:
    """Return one implementation of an op.

    Args:
        implementations: name to callable; every op has at least "reference".
        backend: a name in `implementations`, or None for the one that is made for `device`.
        device: where the op's inputs are.

    Raises:
        ValueError: the op has no implementation of that name. It is never replaced by another.
    """
    name = backend or DEFAULTS.get(device.type, "reference")
    try:
        return implementations[name]
    except KeyError:
        names = ", ".join(sorted(implementations))
        raise ValueError(f"backend {name!r} does not exist for this op; it has: {names}") from None
