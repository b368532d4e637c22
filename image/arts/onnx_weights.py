"""Weights of an ONNX file by name, without running it.

Knows initializers, and how 8-bit ones become numbers: (q - zero point) x scale, by channel. Does not know networks. A
quantized file also says how each activation was rounded; in floating point nothing is, and these are told apart by
where they stand. Format: ONNX, operators QuantizeLinear and DequantizeLinear.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from clavilux.errors import CheckpointError
from clavilux.files import PathLike, check_readable
from clavilux.image.arts import INSTALL


class Weights(NamedTuple):
    """What a file holds.

    Attributes:
        tensors: float32 or integer, by name: of a quantized convolution `NAME.weight` and `NAME.bias`, of the rest the
            initializer's own.
        fingerprint: SHA-256 of the file.
        activations: names of the scales and zero points that rounded what flows between the operators.
    """

    tensors: dict[str, Tensor]
    fingerprint: str
    activations: frozenset[str]


def package_file(package: str, name: str) -> Path:
    """A file inside an installed package, which is not imported: its own imports may be large.

    Raises:
        ValueError: the package is not installed.
        CheckpointError: it is, without this file.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ValueError(f"styles need weights that are not installed here; {INSTALL} brings them")
    path = Path(found.origin).parent / name
    if not path.is_file():
        raise CheckpointError(f"the package {package} holds no {name!r}; another version does: {INSTALL}")
    return path


def read(path: PathLike) -> Weights:
    """All initializers of a file.

    Raises:
        ValueError: no such file, or the package `onnx` is missing.
        CheckpointError: it is no ONNX file.
    """
    path = check_readable(path, "checkpoint")
    if importlib.util.find_spec("onnx") is None:
        raise ValueError(f"reading {path.name!r} needs the package onnx; {INSTALL} brings it")
    import onnx

    payload = path.read_bytes()
    try:
        graph = onnx.load_from_string(payload).graph
        arrays = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    except Exception as error:  # protobuf's own errors, of several types
        raise CheckpointError(f"{str(path)!r} is no ONNX file, or a damaged one") from error
    if not arrays:
        raise CheckpointError(f"{str(path)!r} holds no weights")
    tensors, used = _convolutions(onnx, graph.node, arrays)
    rounding = _roundings(graph.node, arrays) - used
    rest = {name: torch.from_numpy(np.array(arrays[name])) for name in arrays.keys() - used - rounding}
    return Weights(tensors | rest, hashlib.sha256(payload).hexdigest(), frozenset(rounding))


def _convolutions(onnx: Any, nodes: Any, arrays: dict[str, np.ndarray]) -> tuple[dict[str, Tensor], set[str]]:
    """(quantized weights and biases as numbers, the initializers that they are made of).

    A bias of zeros is stored once for several convolutions, under the name of one of them: so each takes its name from
    the weights beside it.
    """
    made = {node.output[0]: node for node in nodes if node.op_type == "DequantizeLinear" and node.input[0] in arrays}
    tensors: dict[str, Tensor] = {}
    used: set[str] = set()
    for node in nodes:
        if node.op_type == "Conv" and node.input[1] in made:
            name = node.input[1].rpartition("/")[0]
            for part, source in zip(("weight", "bias"), node.input[1:], strict=False):
                tensors[f"{name}.{part}"] = _numbers(onnx, made[source], arrays)
                used.update(made[source].input)
    for output, node in made.items():
        if node.input[0] not in used:  # a constant
            tensors[output.removesuffix("_dequant")] = _numbers(onnx, node, arrays)
            used.update(node.input)
    return tensors, used


def _numbers(onnx: Any, node: Any, arrays: dict[str, np.ndarray]) -> Tensor:
    """float32: what a DequantizeLinear of initializers gives."""
    rounded, scale, zero = (arrays[name] for name in node.input)
    axis = next((onnx.helper.get_attribute_value(each) for each in node.attribute if each.name == "axis"), 1)
    if scale.ndim:
        shape = [-1 if dimension == axis else 1 for dimension in range(rounded.ndim)]
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    # int32 biases less their zero point do not fit into float32 exactly, as they do not in the file's own arithmetic
    return torch.from_numpy(((rounded.astype(np.int64) - zero) * scale.astype(np.float64)).astype(np.float32))


def _roundings(nodes: Any, arrays: dict[str, np.ndarray]) -> set[str]:
    """Initializers that are nothing but a scale or a zero point of an activation."""
    rounding, other = set[str](), set[str]()
    for node in nodes:
        quantizing = node.op_type in ("QuantizeLinear", "DequantizeLinear")
        for place, name in enumerate(node.input):
            (rounding if quantizing and place else other).add(name)
    return (rounding - other) & arrays.keys()
