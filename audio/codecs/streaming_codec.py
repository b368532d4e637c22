"""What the codecs of streaming layers share: checks of samples and tokens, and both directions piece by piece.

Knows an encoder and a decoder that are chains of streaming layers. Does not know how a codec quantizes, or its files.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clavilux.audio.codecs.streaming_layers import Chain, State, flattened, restored
from clavilux.capture import Captured
from clavilux.half_decoding import HalfDecoding, OutOfRange

if TYPE_CHECKING:
    from clavilux.audio.codecs import DecoderStream

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


class StreamingCodec(HalfDecoding, ABC):
    """A neural codec; see `NeuralCodec`. Made by `load_codec`; a new one has no weights yet.

    On a GPU a stream's pieces are CUDA graphs from the second piece of a shape on: a second of sound is some hundred
    kernels of a few microseconds.

    Attributes:
        sample_rate: Hz of the samples.
        frame_rate: frames a second.
        codebooks: K, tokens a frame.
        vocabulary: V, token values of each codebook.
        channels: C, of the samples.
        hop: samples a frame.
        overlap_frames: frames of context on each side with which a part of a decode equals the whole.
        lookahead_frames: frames that must be known behind one before all of it can be heard.
    """

    family: str

    def __init__(
        self,
        encoder: Chain,
        decoder: Chain,
        *,
        sample_rate: int,
        channels: int,
        hop: int,
        codebooks: int,
        vocabulary: int,
    ):
        super().__init__()
        self.encoder, self.decoder, self._captured = encoder, decoder, Captured()
        self.sample_rate, self.channels, self.hop = sample_rate, channels, hop
        self.frame_rate = sample_rate / hop
        self.codebooks, self.vocabulary = codebooks, vocabulary
        before, self.lookahead_frames = decoder.inputs_for(0, hop - 1)
        self.overlap_frames: int | None = max(before, self.lookahead_frames)

    @torch.no_grad()
    def encode(self, samples: Tensor, codebooks: int | None = None, *, sample_rate: int | None = None) -> Tensor:
        """Tokens of sound, the last frame filled up with silence.

        Args:
            samples: float [B, channels, N] at the codec's rate, N >= 1, every value finite.
            codebooks: how many of the first codebooks to use; all by default.
            sample_rate: that of `samples`, to have it checked.

        Returns:
            int64 [B, codebooks, num_frames(N)].

        Raises:
            ValueError: another shape or rate, NaN or infinity, or a number of codebooks that there is not.
        """
        codebooks = self._checked_codebooks(codebooks)
        samples = self._checked_samples(samples, sample_rate)
        return self._encode_pieces(F.pad(samples, (0, -samples.shape[2] % self.hop)), codebooks)

    @torch.no_grad()
    def decode(self, tokens: Tensor) -> Tensor:
        """Sound of tokens.

        Args:
            tokens: integers [B, K, T], 0 <= token < vocabulary, 1 <= K <= codebooks, T >= 1.

        Returns:
            float [B, channels, num_samples(T)].

        Raises:
            ValueError: another shape, or a token out of range.
        """
        tokens = self.checked_tokens(tokens)
        return self.in_range(lambda: self._decode_pieces(tokens))

    def decoder_stream(self) -> DecoderStream:
        """A decoder that takes the frames of a signal as they come; what it gives, joined, is `decode` of them all."""
        return PieceStream(self)

    def num_frames(self, samples: int) -> int:
        """Frames that so many samples are encoded to."""
        return math.ceil(samples / self.hop)

    def num_samples(self, frames: int) -> int:
        """Samples that so many frames are decoded to: up to a hop more than were encoded."""
        return frames * self.hop

    @property
    def weight(self) -> Tensor:
        """One of the weights, for their device and dtype."""
        return next(self.parameters())

    @property
    def device(self) -> torch.device:
        """Where the weights are; samples and tokens are brought there."""
        return self.weight.device

    @abstractmethod
    def decode_piece(self, tokens: Tensor, state: State, last: bool) -> Tensor:
        """The next tokens int64 [B, K, t] of a signal -> the samples [B, C, n] that they make certain. t may be 0."""

    def next_piece(self, tokens: Tensor, state: State, last: bool) -> Tensor:
        """As `decode_piece`, of a short piece on a GPU as one CUDA graph."""
        # 16 Mi numbers in the widest tensor: beyond, kernels are longer than their launches
        if not self._captured.serves(tokens.device) or 16 * tokens.shape[2] > self._piece_frames(len(tokens)):
            return self.decode_piece(tokens, state, last)
        layout, kept = flattened(state)
        [samples, *kept], layout = self._captured(self._piece_of_tensors, (layout, last), [tokens, *kept])
        state.clear()
        state.update(restored(layout, kept))
        return samples

    def _piece_of_tensors(self, fixed: Any, tensors: Sequence[Tensor]) -> tuple[list[Tensor], Any]:
        """`decode_piece` as `Captured` takes it: (samples and the new state's tensors, its layout)."""
        (layout, last), (tokens, *kept) = fixed, tensors
        state = restored(layout, kept)
        samples = self.decode_piece(tokens, state, last)
        layout, kept = flattened(state)
        return [samples, *kept], layout

    def decoding_parts(self) -> Sequence[nn.Module]:
        """As `HalfDecoding`."""
        return (self.decoder,)

    def _decoded(self, latent: Tensor, state: State, last: bool) -> Tensor:
        """The next latent [B, D, t] of a signal -> what the decoder makes certain, in the latent's dtype."""
        return self.decoder.step(latent.to(self.decoding_dtype), state, last).to(latent.dtype)

    @abstractmethod
    def _quantize(self, latent: Tensor, codebooks: int) -> Tensor:
        """latent [B, D, T] -> tokens int64 [B, codebooks, T]."""

    @abstractmethod
    def _piece_frames(self, batch: int) -> int:
        """Frames to compute at once."""

    def _encode_pieces(self, samples: Tensor, codebooks: int) -> Tensor:
        """samples [B, C, N] -> tokens [B, codebooks, ceil(N / hop)]."""
        size = self._piece_frames(samples.shape[0]) * self.hop
        state: State = {}
        pieces = []
        for start in range(0, samples.shape[2], size):
            last = start + size >= samples.shape[2]
            latent = self.encoder.step(samples[..., start : start + size], state, last)  # [B, D, t]
            if latent.shape[2]:
                pieces.append(self._quantize(latent, codebooks))
        return torch.cat(pieces, dim=2)

    def _decode_pieces(self, tokens: Tensor) -> Tensor:
        """tokens int64 [B, K, T] -> samples [B, C, num_samples(T)]."""
        size = self._piece_frames(tokens.shape[0])
        state: State = {}
        pieces = []
        for start in range(0, tokens.shape[2], size):
            pieces.append(self.decode_piece(tokens[..., start : start + size], state, start + size >= tokens.shape[2]))
        return torch.cat(pieces, dim=2)

    def checked_tokens(self, tokens: Tensor) -> Tensor:
        """`tokens` as int64 on the codec's device; ValueError unless they are what `decode` takes."""
        shape = "[B, 1, T]" if self.codebooks == 1 else "[B, K, T]"
        if not isinstance(tokens, Tensor) or tokens.ndim != 3 or tokens.dtype not in _INTEGERS:
            raise ValueError(f"tokens should be integers {shape}, not {described(tokens)}")
        if not 1 <= tokens.shape[1] <= self.codebooks or 0 in tokens.shape:
            most_codebooks = f" and K from 1 to {self.codebooks}" * (self.codebooks > 1)
            raise ValueError(
                f"tokens should be {shape} with B and T at least 1{most_codebooks}, not {list(tokens.shape)}"
            )
        least, most = int(tokens.min()), int(tokens.max())
        if least < 0 or most >= self.vocabulary:
            wrong = least if least < 0 else most
            raise ValueError(f"tokens of this codec lie between 0 and {self.vocabulary - 1}; there is a {wrong}")
        return tokens.to(self.device, torch.int64)

    def _checked_codebooks(self, codebooks: int | None) -> int:
        if codebooks is None:
            return self.codebooks
        if type(codebooks) is not int or not 1 <= codebooks <= self.codebooks:
            has = "one codebook" if self.codebooks == 1 else f"1 to {self.codebooks} codebooks"
            raise ValueError(f"this codec has {has}, not {codebooks!r}")
        return codebooks

    def _checked_samples(self, samples: Tensor, sample_rate: int | None) -> Tensor:
        if sample_rate not in (None, self.sample_rate):
            raise ValueError(f"this codec works at {self.sample_rate} Hz; resample sound of {sample_rate!r} Hz first")
        if not isinstance(samples, Tensor) or samples.ndim != 3 or not samples.is_floating_point():
            raise ValueError(f"samples should be floats [B, {self.channels}, N], not {described(samples)}")
        if samples.shape[1] != self.channels or 0 in samples.shape:
            mono = "mono, " * (self.channels == 1)
            raise ValueError(
                f"samples should be {mono}[B, {self.channels}, N] with B and N at least 1, not {list(samples.shape)}"
            )
        if not torch.isfinite(samples).all():
            raise ValueError("samples hold NaN or infinity; every value should be a finite number")
        return samples.to(self.weight)


C = TypeVar("C", bound=StreamingCodec)


class CheckedStream(ABC, Generic[C]):
    """What every stream checks: one signal, of one shape, that ends once.

    Args:
        codec: whose tokens come.
        scales: float [B, chunks] that the sound is multiplied by, None for a codec without.
    """

    def __init__(self, codec: C, scales: Tensor | None = None):
        if scales is not None and (scales.ndim != 2 or not scales.is_floating_point() or 0 in scales.shape):
            raise ValueError(f"scales should be floats [B, chunks], not {scales.dtype} {list(scales.shape)}")
        if scales is not None and not torch.isfinite(scales).all():
            raise ValueError("scales hold NaN or infinity; every value should be a finite number")
        self._codec, self._scales = codec, scales
        self._shape: tuple[int, int] | None = None  # rows and codebooks
        self._finished = False

    @torch.no_grad()
    def push(self, tokens: Tensor) -> Tensor | None:
        """The samples that these frames make certain.

        Args:
            tokens: integers [B, K, t], t >= 1, B and K the same each time.

        Returns:
            float [B, channels, n], or None while there is nothing yet.

        Raises:
            ValueError: what `decode` would not take either, another B or K than before, or after `finish`; on a GPU
                also where the sound leaves float16's range.
        """
        if self._finished:
            raise ValueError("this stream is finished; begin another one")
        tokens = self._codec.checked_tokens(tokens)
        shape = tokens.shape[0], tokens.shape[1]
        if self._shape is not None and self._shape != shape:
            raise ValueError(f"this stream has [B, K] {list(self._shape)}, and the tokens have {list(shape)}")
        if self._scales is not None and len(self._scales) != shape[0]:
            raise ValueError(f"there are scales for {len(self._scales)} rows and tokens for {shape[0]}")
        self._shape = shape
        samples = self._checked(self._advance(tokens, False))
        return samples if samples.shape[2] else None

    @torch.no_grad()
    def finish(self) -> Tensor:
        """The samples that are left, float [B, channels, n]. ValueError if nothing was pushed, or if called twice."""
        if self._finished or self._shape is None:
            raise ValueError("this stream is finished already" if self._finished else "this stream got no tokens")
        self._finished = True
        nothing = torch.empty(*self._shape, 0, dtype=torch.int64, device=self._codec.device)
        return self._checked(self._advance(nothing, True))

    def _checked(self, samples: Tensor) -> Tensor:
        if self._codec.leaves_range(samples):
            raise OutOfRange("this codec's sound leaves the range of float16; load its model with dtype 'float32'")
        return samples

    @abstractmethod
    def _advance(self, tokens: Tensor, last: bool) -> Tensor:
        """tokens int64 [B, K, t] -> samples [B, C, n]; the last have t = 0."""

    def _scaled(self, samples: Tensor, index: int) -> Tensor:
        """samples of the chunk `index`, by its scale."""
        if self._scales is None:
            return samples
        if index >= self._scales.shape[1]:
            raise ValueError(f"there are scales for {self._scales.shape[1]} chunks, and the tokens have more")
        return samples * self._scales[:, index, None, None].to(samples)


class PieceStream(CheckedStream[StreamingCodec]):
    """The network runs on each piece and keeps what the next one needs. Nothing is computed twice."""

    def __init__(self, codec: StreamingCodec, scales: Tensor | None = None):
        super().__init__(codec, scales)
        self._state: State = {}

    def _advance(self, tokens: Tensor, last: bool) -> Tensor:
        return self._scaled(self._codec.next_piece(tokens, self._state, last), 0)


def described(value: object) -> str:
    """What was given for samples or tokens, as an error shows it."""
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
