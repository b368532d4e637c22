"""What conditions a decoder on a text: the hidden states of a T5 encoder, by the `transformers` package.

In bfloat16, what its layers add up stays in float32, by way of the last matrices of their feed-forward parts: the
hidden states of random weights of the base size are then off by 0.4 to 0.6 % (RMS), else by 0.9 to 1.1. A graph or a
compiled encoder would gain nothing: a prompt is read once a render, and each is of another length.

Knows T5 and tokenizers. Does not know a decoder's width or how it is conditioned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from clavilux.errors import CheckpointError
from clavilux.skeleton import skeletons
from clavilux.strict_weights import check

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Tokenize = Callable[[str], list[int]]
Parts = tuple[Any, Tokenize]  # the model, a module of transformers', and the tokenizer
LONGEST = 512  # tokens; what T5 was trained on
_SUMMING = ".wo.weight"  # whose products are float32 sums, if the matrix is
# The token table has up to three names, of which a file holds at least one.
_TABLES = ("shared.weight", "encoder.embed_tokens.weight")


class TextEncoder:
    """Texts to hidden states, each text by itself, so that none depends on those beside it.

    Attributes:
        width: of the hidden states.
    """

    def __init__(
        self, load: Callable[[], Parts], width: int, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        self._load, self.width, self._device, self._dtype = load, width, device, dtype
        self._parts: Parts | None = None
        self._last: tuple[tuple[str, int], Tensor, int] | None = None

    def prepare(self) -> Parts:
        """Load the encoder now: the model and the tokenizer. Raises as `encode`."""
        if self._parts is None:
            if not installed():
                raise ValueError("a text prompt needs transformers; pip install 'clavilux[text]'")
            model, tokenize = self._load()
            self._parts = _placed(model.eval().requires_grad_(False), self._device, self._dtype), tokenize
        return self._parts

    @torch.inference_mode()
    def encode(self, text: str, longest: int = LONGEST) -> tuple[Tensor, int]:
        """Hidden states float32 [1, S, width] of a text, and how many of its tokens were too many to be read.

        S is `longest` at the most.

        Raises:
            ValueError: `transformers` is not installed.
            CheckpointError: the encoder's files are missing or damaged.
        """
        model, tokenize = self.prepare()
        if self._last is None or self._last[0] != (text, longest):
            ids = tokenize(text)
            # The last id ends the text; it stays where a long one is cut.
            kept = ids if len(ids) <= longest else [*ids[: longest - 1], ids[-1]]
            states = model(input_ids=torch.tensor([kept], device=self._device)).last_hidden_state
            self._last = ((text, longest), states.float(), len(ids) - len(kept))
        return self._last[1:]


def installed() -> bool:
    """Whether texts can be read."""
    return find_spec("transformers") is not None


def from_tensors(
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    folder: Path,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> TextEncoder:
    """The encoder whose weights lie inside a checkpoint; its tokenizer lies beside it in `folder`."""

    def load() -> Parts:
        from transformers import T5Config, T5EncoderModel

        try:
            with skeletons():
                model = T5EncoderModel(T5Config.from_dict(dict(config)))
        except Exception as error:  # whatever its own checks raise: the config is at fault
            raise CheckpointError(f"{str(folder)!r}: its text_encoder describes no T5 ({_short(error)})") from None
        _fill(model, tensors, f"the text encoder in {str(folder)!r}")
        return model, tokenizer(folder)

    return TextEncoder(load, config["d_model"], device, dtype)


def from_name(
    name: str, folder: Path, width: int, device: torch.device, dtype: torch.dtype = torch.float32
) -> TextEncoder:
    """An encoder that a checkpoint only names: from `folder / name` where there is such a folder, else from the hub."""

    def load() -> Parts:
        import transformers

        local = folder / name
        place = str(local) if local.is_dir() else name
        try:
            model = transformers.T5EncoderModel.from_pretrained(place, dtype=torch.float32)
            read = tokenizer(local) if local.is_dir() else _ids(transformers.AutoTokenizer.from_pretrained(place))
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"the text encoder {name!r} is neither a folder in {str(folder)!r} nor could the hub be asked for it "
                f"({_short(error)})"
            ) from None
        if model.config.d_model != width:
            raise CheckpointError(f"the text encoder {name!r} is {model.config.d_model} wide; it should be {width}")
        return model, read

    return TextEncoder(load, width, device, dtype)


def tokenizer(folder: Path) -> Tokenize:
    """Texts to ids, the end of the text included: `tokenizer.json`, else `spiece.model`. Raises CheckpointError."""
    path = folder / "tokenizer.json"
    if path.exists():
        found = read_tokenizer(path)
        return lambda text: found.encode(text).ids
    if (folder / "spiece.model").exists():
        from transformers import T5Tokenizer

        try:
            return _ids(T5Tokenizer.from_pretrained(str(folder)))
        except Exception as error:  # sentencepiece missing or damaged: a different error from each version
            raise CheckpointError(f"the tokenizer in {str(folder)!r} cannot be read: {_short(error)}") from None
    raise CheckpointError(f"{str(folder)!r} holds no tokenizer; there should be a tokenizer.json or spiece.model")


def read_tokenizer(path: Path) -> Tokenizer:
    """A `tokenizers.Tokenizer` of a `tokenizer.json`, which neither pads nor cuts.

    Raises:
        ValueError: `tokenizers` is not installed.
        CheckpointError: the file is missing or damaged.
    """
    if find_spec("tokenizers") is None:
        raise ValueError("a text prompt needs tokenizers; pip install 'clavilux[text]'")
    from tokenizers import Tokenizer

    try:
        found = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises Exception itself
        raise CheckpointError(f"{str(path)!r} is no tokenizer: {_short(error)}") from None
    found.no_padding()
    found.no_truncation()
    return found


def _placed(model: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The model on its device and in its dtype, but for the matrices that keep what is added up in float32."""
    moved: dict[int, Tensor] = {}  # by where they lie: a table with two names stays one
    for name, weight in model.named_parameters():
        wanted = torch.float32 if name.endswith(_SUMMING) else dtype
        if weight.data_ptr() not in moved:
            moved[weight.data_ptr()] = weight.data.to(device, wanted)
        weight.data = moved[weight.data_ptr()]
    return model.to(device)


def _ids(tokenize: Callable[..., Mapping[str, Any]]) -> Tokenize:
    return lambda text: tokenize(text, truncation=False, verbose=False)["input_ids"]


def _fill(model: nn.Module, tensors: Mapping[str, Tensor], label: str) -> None:
    """Give the model these weights, checked by name and shape."""
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    tables = {name: shape for name, shape in shapes.items() if name in _TABLES}
    held = {name: shape for name, shape in tables.items() if name in tensors} or {_TABLES[0]: tables[_TABLES[0]]}
    wanted = {name: shape for name, shape in shapes.items() if name not in tables}
    check(tensors, wanted | held, label)
    weights = {name: tensors[name].float() for name in wanted}
    weights |= dict.fromkeys(tables, tensors[next(iter(held))].float())
    model.load_state_dict(weights, strict=True, assign=True)


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
