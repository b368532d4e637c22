"""Modules without values: built on the meta device, for their names and shapes, or for weights that follow.

Knows torch only, and imports nothing of ours: every folder may import it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_FILLS = frozenset(
    ("normal_", "uniform_", "random_", "exponential_", "bernoulli_", "zero_", "fill_", "copy_", "erfinv_", "clamp_")
)


@contextmanager
def skeletons() -> Iterator[None]:
    """Modules that are made inside are on the meta device, and filling them with values does nothing.

    `torch.device("meta")` alone fills as well, and does so through torch's Python references, which import the compiler
    and a computer algebra system: on an idle machine 1.5 to 6 s, for values that the meta device does not keep.
    """
    with torch.device("meta"), _Unfilled():
        yield


class _Unfilled(TorchFunctionMode):
    """`nn.init` and the methods that it calls leave tensors on the meta device alone."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        filled = args[0] if args else kwargs.get("tensor")
        fills = func.__module__ == torch.nn.init.__name__ if hasattr(func, "__module__") else False
        if (fills or func.__name__ in _FILLS) and isinstance(filled, torch.Tensor) and filled.is_meta:
            return filled
        return func(*args, **kwargs)
