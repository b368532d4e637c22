"""Tokens on disk: a safetensors file that knows which codec made them and how long the sound was.

Its tensors are `tokens`, int16 or int32 [K, T] or [B, K, T], and where the codec needs them `scales`, float32
[B, chunks]. Its metadata is one JSON text under the key "clavilux", with a checksum over everything, so that a
damaged file is noticed. Knows files. Does not know how a codec works.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from clavilux.audio.codecs import ScaledCodec
from clavilux.files import PathLike, atomic_path, check_readable, check_target

if TYPE_CHECKING:
    from clavilux.audio.codecs import NeuralCodec

__all__ = [
    "TokenFile",
    "check_codec",
    "check_place",
    "codec_identity",
    "decode_tokens",
    "is_token_file",
    "load_tokens",
    "save_tokens",
]

_KEY, _FORMAT = "clavilux", "tokens 1"
_IDENTITY: dict[str, type] = {
    "family": str, "sample_rate": int, "frame_rate": float, "codebooks": int, "vocabulary": int, "channels": int,
    "weights": str,
}  # fmt: skip
_VECTORS = re.compile(r"(quantizers\.\d+\.codebook|quantizer\.vectors\.\d+)$")


@dataclass(frozen=True)
class TokenFile:
    """What a token file holds.

    Attributes:
        tokens: int64 [K, T] or [B, K, T], as they were saved.
        codec: `codec_identity` of the codec that made them.
        num_samples: the length of the sound; None if it is that of the whole decode.
        scales: float32 [B, chunks], or None.
    """

    tokens: Tensor
    codec: dict[str, Any]
    num_samples: int | None = None
    scales: Tensor | None = None


def codec_identity(codec: NeuralCodec) -> dict[str, Any]:
    """What tells whether tokens are a codec's: family, rates, sizes, and a SHA-256 of its codebooks ("weights").

    The vectors of the codebooks are what tokens stand for. They are the same in every layout of a checkpoint, while
    the other weights are rounded differently where weight norm is folded. Take it before `.to()` another dtype.
    """
    state = codec.state_dict()
    names = [name for name in state if _VECTORS.search(name)] or list(state)
    digest = hashlib.sha256()
    for name in names:
        values = state[name].detach().to("cpu", torch.float32).contiguous()
        digest.update(str(list(values.shape)).encode() + values.numpy().astype("<f4").tobytes())
    identity = {name: getattr(codec, name) for name in _IDENTITY if name != "weights"}
    return identity | {"frame_rate": float(codec.frame_rate), "weights": digest.hexdigest()}


def save_tokens(
    path: PathLike,
    tokens: Tensor,
    codec_identity: Mapping[str, Any],
    *,
    num_samples: int | None = None,
    scales: Tensor | None = None,
) -> None:
    """Write tokens to a `.safetensors` file, whole or not at all. The same arguments give the same bytes.

    Args:
        path: where to.
        tokens: integers [K, T] or [B, K, T], none of them 0 long, 0 <= token < the identity's vocabulary.
        codec_identity: of the codec that made them.
        num_samples: the length of the sound, to which a decode is cut; None for all of it.
        scales: float [B, chunks] of a codec that needs them.

    Raises:
        ValueError: not such tokens, or `path` is no place for such a file.
        OSError: writing failed (a full disk); nothing is left behind.
    """
    check_place(path)
    identity = _checked_identity(dict(codec_identity), "the codec's identity")
    _check_tokens(tokens, identity, "the tokens")
    _check_length(num_samples, "the tokens")
    dtype = torch.int16 if int(tokens.max()) < 1 << 15 else torch.int32
    tensors = {"tokens": tokens.detach().to("cpu", dtype).contiguous()}
    if scales is not None:
        _check_scales(scales, tokens, "the tokens")
        tensors["scales"] = scales.detach().to("cpu", torch.float32).contiguous()
    about = {"format": _FORMAT, "codec": identity, "num_samples": num_samples}
    about["sha256"] = _checksum(about, tensors)
    payload = save(tensors, {_KEY: json.dumps(about, sort_keys=True)})
    with atomic_path(path) as temporary:
        temporary.write_bytes(payload)


def check_place(path: PathLike) -> None:
    """ValueError unless a token file can be written there."""
    if Path(path).suffix.lower() != ".safetensors":
        raise ValueError(f"tokens are saved as .safetensors, not as {str(path)!r}")
    check_target(path)


def is_token_file(path: PathLike) -> bool:
    """Whether this is a safetensors file that says that it holds tokens."""
    if Path(path).suffix.lower() != ".safetensors" or not Path(path).is_file():
        return False
    try:
        with safe_open(path, "pt") as file:
            return _KEY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def load_tokens(path: PathLike) -> TokenFile:
    """Read what `save_tokens` wrote.

    Raises:
        ValueError: missing, damaged, or not a token file.
    """
    label = repr(str(path))
    about, tensors = _read(Path(path), label)
    identity = _checked_identity(about["codec"], label)
    if about.get("sha256") != _checksum(about, tensors):
        raise ValueError(f"{label} is damaged: its contents do not have the checksum that it states")
    _check_tokens(tensors["tokens"], identity, label)
    _check_length(about.get("num_samples"), label)
    if "scales" in tensors:
        _check_scales(tensors["scales"], tensors["tokens"], label)
    return TokenFile(tensors["tokens"].long(), identity, about.get("num_samples"), tensors.get("scales"))


def check_codec(identity: Mapping[str, Any], codec: NeuralCodec) -> None:
    """ValueError, with what differs, unless tokens of this identity are the codec's."""
    own = codec_identity(codec)
    for name, value in own.items():
        if identity.get(name) != value:
            said = f"its {name} is {value!r}" if name != "weights" else "its codebooks hold other vectors"
            made = f" and theirs {identity.get(name)!r}" if name != "weights" else ""
            raise ValueError(f"the tokens were not made by this codec: {said}{made}")


def decode_tokens(file: TokenFile, codec: NeuralCodec) -> Tensor:
    """The sound of a token file, float32 [B, C, N] with N = `num_samples` where the file states it.

    A codec may give a few samples less than were encoded (DAC with an odd rate); silence fills them up.

    Raises:
        ValueError: another codec made the tokens, or they have scales that it does not take.
    """
    check_codec(file.codec, codec)
    tokens = file.tokens if file.tokens.ndim == 3 else file.tokens[None]
    if file.scales is None:
        samples = codec.decode(tokens)
    elif isinstance(codec, ScaledCodec):
        samples = codec.decode(tokens, file.scales)
    else:
        raise ValueError(f"the tokens have scales, which a codec of the family {codec.family!r} does not take")
    if file.num_samples is None:
        return samples
    return F.pad(samples[..., : file.num_samples], (0, max(0, file.num_samples - samples.shape[2])))


def _read(path: Path, label: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Metadata and tensors of a file that says that it holds tokens."""
    check_readable(path, "token file")
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get(_KEY, "null"))
            ours = isinstance(about, dict) and about.get("format") == _FORMAT and isinstance(about.get("codec"), dict)
            names = set(file.keys()) if ours else set()
            tensors = {name: file.get_tensor(name) for name in sorted(names & {"tokens", "scales"})}
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{label} is no readable safetensors file of tokens: {reason}") from None
    if not ours:
        raise ValueError(f"{label} holds no tokens with the name of their codec; it should be a file that encode wrote")
    if "tokens" not in names or names - {"tokens", "scales"}:
        raise ValueError(f"{label} should hold 'tokens' and maybe 'scales', not {sorted(names)[:5]}")
    return about, tensors


def _checksum(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Over the metadata, less the checksum itself, and every tensor's name, type, shape and values."""
    digest = hashlib.sha256(json.dumps({k: v for k, v in about.items() if k != "sha256"}, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {list(tensors[name].shape)}".encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()


def _checked_identity(identity: dict[str, Any], label: str) -> dict[str, Any]:
    if set(identity) != set(_IDENTITY):
        raise ValueError(f"{label} should say {', '.join(_IDENTITY)} of the codec, not {', '.join(map(str, identity))}")
    for name, kind in _IDENTITY.items():
        value = identity[name]
        possible = isinstance(value, str) or isinstance(value, (int, float)) and 0 < value < 1e9
        if type(value) is not kind or not possible:
            raise ValueError(f"{label} has an impossible {name} of the codec: {value!r}")
    return identity


def _check_tokens(tokens: Tensor, identity: Mapping[str, Any], label: str) -> None:
    if tokens.dtype not in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
        raise ValueError(f"{label} should be integers, not {tokens.dtype}")
    if tokens.ndim not in (2, 3) or 0 in tokens.shape or tokens.shape[-2] > identity["codebooks"]:
        raise ValueError(
            f"{label} should have the shape [K, T] or [B, K, T] with at most {identity['codebooks']} codebooks and "
            f"nothing 0 long, not {list(tokens.shape)}"
        )
    least, most = int(tokens.min()), int(tokens.max())
    if least < 0 or most >= identity["vocabulary"]:
        wrong = least if least < 0 else most
        raise ValueError(f"{label} should lie between 0 and {identity['vocabulary'] - 1}; there is a {wrong}")


def _check_length(num_samples: Any, label: str) -> None:
    if num_samples is not None and (type(num_samples) is not int or not 1 <= num_samples < 1 << 40):
        raise ValueError(f"{label} should state a number of samples from 1, not {num_samples!r}")


def _check_scales(scales: Tensor, tokens: Tensor, label: str) -> None:
    rows = tokens.shape[0] if tokens.ndim == 3 else 1
    if not scales.is_floating_point() or scales.ndim != 2 or scales.shape[0] != rows or not scales.isfinite().all():
        raise ValueError(f"{label} should have finite scales [{rows}, chunks], not {scales.dtype} {list(scales.shape)}")
