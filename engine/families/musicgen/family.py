"""Pieces written as codec frames: what a prompt, a melody and a recording become, and how tokens become sound.

The family's side of MusicGen, MusicGen-melody and AudioGen (2306.05284, 2209.15352), whatever files they were loaded
from. Knows no file layout.
"""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clavilux.audio.clip import Audio
from clavilux.audio.codecs import Codec, NeuralCodec
from clavilux.audio.codecs.encode_clip import encode_clip
from clavilux.audio.frontend import MELODY_HOP, melody_chroma
from clavilux.audio.score import Score
from clavilux.checks import check_number
from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder
from clavilux.families.musicgen import source_separation
from clavilux.families.musicgen.config import Melody, MusicGenConfig
from clavilux.families.t5 import TextEncoder
from clavilux.family import Request, Stage
from clavilux.files import PathLike, is_midi
from clavilux.layout import FrameReader
from clavilux.marking import MarkedTokens
from clavilux.sampling import Grammar
from clavilux.timings import part
from clavilux.windows import Windows

FIRST_S, PIECE_S = 0.25, 1.0  # sound that is decoded at a time: first little, so that playing begins soon
PADDINGS = ("masked", "unmasked")
_ACCEPTS = {
    "padding": list(PADDINGS),
    "window_s": "seconds that the decoder sees at once, at most what it was trained on",
    "stride_s": "seconds by which that window moves on in a longer piece",
}
_MELODY = "a sound file or an Audio, whose strongest notes the piece follows"

_Melodies = tuple[str, list[Tensor]]  # the receipt's note of a recording, and the melody of each window


class Conditioner(nn.Module):
    """What the text's states and the melody are taken to the decoder's width by; None where they have it already."""

    def __init__(self, text: nn.Linear | None, melody: nn.Linear | None) -> None:
        super().__init__()
        self.text, self.melody = text, melody

    def of_text(self, states: Tensor) -> Tensor:
        """[1, S, text width] -> [1, S, D]"""
        return states if self.text is None else self.text(states)

    def of_melody(self, pitches: Tensor) -> Tensor:
        """[T, C] -> [1, T, D]"""
        return (pitches if self.melody is None else self.melody(pitches))[None]


class MusicGen:
    """A decoder of codec frames that a text conditions (`clavilux.family.Family`)."""

    def __init__(
        self,
        name: str,
        sizes: MusicGenConfig,
        decoder: Decoder,
        conditioner: Conditioner,
        text: TextEncoder,
        codec: NeuralCodec,
        identity: dict[str, Any],
    ) -> None:
        self.name, self.sizes, self.identity = name, sizes, identity
        self.sampling = sizes.sampling
        self.accepts = accepts_of(sizes)
        self.codec = codec
        self.stage: Stage[Codec] = Stage(decoder, sizes.layout, sizes.windows, codec)
        self._conditioner, self._text = conditioner, text

    @cached_property
    def marked(self) -> MarkedTokens:
        """The first codebook's tokens, in clusters of its vectors; of stereo the left channel's."""
        encodec: Any = getattr(self.codec, "mono", self.codec)
        vectors: Tensor = encodec.quantizer.vectors[0]
        return MarkedTokens.of_codec(f"sound {self.codec.family} {self.codec.vocabulary}", vectors, self.stage.layout)

    def generation(self, request: Request) -> FrameGeneration:
        """One piece."""
        return self.begin([request])[0]

    @torch.inference_mode()
    def begin(self, requests: list[Request]) -> list[FrameGeneration]:
        """Pieces made side by side. Only `padding="unmasked"` lets one depend on the others: on their longest text."""
        texts = [self._text_states(request.prompt) for request in requests]
        longest = max((states.shape[1] for states, _ in texts if states is not None), default=1)
        melodies: dict[int, _Melodies] = {}  # a file that is asked for in every row is read once
        generations = []
        for request, (states, unread) in zip(requests, texts, strict=True):
            controls, notes = dict(request.controls), list[str]()
            if unread:
                notes.append(f"the last {unread} tokens of the prompt were too many to be read")
            padding = controls.setdefault("padding", "masked")
            windows = check_controls(self.sizes, controls)
            melody = self._melodies(controls, notes, melodies, self._offsets(request, windows))
            conditionings = self._conditionings(states, melody, longest if padding == "unmasked" else None)
            generations.append(FrameGeneration(self, request, conditionings, windows, controls, notes))
        return generations

    def encode(self, source: Audio | Score | PathLike) -> Tensor:
        """Frames int64 [K, T] of a sound file or an Audio; what lacks to a whole last one is filled up with zeros."""
        return encode_clip(self.codec, clip_of(source, "source")).tokens[0].cpu()

    def decode(self, tokens: Tensor) -> Audio:
        """The sound of frames int64 [K, T]."""
        codec, device = self.codec, self.stage.decoder.embed.weight.device
        return Audio(codec.decode(tokens[None].to(device))[0].float().cpu(), codec.sample_rate, tokens=tokens)

    def _text_states(self, prompt: str) -> tuple[Tensor | None, int]:
        """The text at the decoder's width, [1, S, D], and how many tokens went unread; None for an empty prompt."""
        if not prompt.strip():
            return None, 0
        states, unread = self._text.encode(prompt)
        return self._conditioner.of_text(states), unread

    def _offsets(self, request: Request, windows: Windows) -> list[int]:
        """The frame that each window of a piece begins with."""
        frames = num_frames(self.sizes, request.seconds)
        steps = self.sizes.layout.num_steps(frames)  # with the start, and without the last, which is not read
        return [dropped for dropped, _, _ in windows.spans(steps)]

    def _melodies(
        self, controls: dict[str, Any], notes: list[str], read: dict[int, _Melodies], offsets: list[int]
    ) -> list[Tensor]:
        """The melody of each window at the decoder's width, [1, length, D]; none where the model takes none."""
        shape, source = self.sizes.melody, controls.pop("melody", None)
        if shape is None:
            return []
        if source is None:
            return [self._silence(shape)]
        controls["melody"] = Path(source).name if isinstance(source, (str, Path)) else "an Audio"
        if id(source) not in read:
            device = self.stage.decoder.embed.weight.device
            clip, note = _melody_of(clip_of(source, "melody"), device)
            samples = clip.to_mono().resample(self.sizes.sample_rate).samples[0].to(device)
            if len(samples) < MELODY_HOP:
                raise ValueError(
                    f"the melody lasts {clip.duration_s:.3g} s; it should last "
                    f"{MELODY_HOP / self.sizes.sample_rate:g} s at least, one pitch of it"
                )
            read[id(source)] = note, [self._melody(shape, samples, offset, len(offsets) > 1) for offset in offsets]
        note, melodies = read[id(source)]
        notes.append(note)
        return melodies

    def _melody(self, shape: Melody, samples: Tensor, offset: int, more: bool) -> Tensor:
        """The melody [1, length, D] of the window whose first frame is `offset`; one that is too short begins again.

        The sound itself is repeated where there are more windows, so that they go on where the last one was; else its
        pitch classes are, as audiocraft does both.
        """
        sizes = self.sizes
        held = sizes.context_frames * sizes.hop
        if more:
            first = offset * sizes.hop % len(samples)
            samples = samples.roll(-first).repeat(-(-held // len(samples)))
        pitches = melody_chroma(samples[:held], sizes.sample_rate, shape.num_chroma)  # [T, D]
        pitches = pitches.repeat(-(-shape.length // len(pitches)), 1)[: shape.length]
        return self._conditioner.of_melody(pitches)

    def _silence(self, shape: Melody) -> Tensor:
        pitches = torch.zeros(shape.length, dtype=torch.int64, device=self.stage.decoder.embed.weight.device)
        return self._conditioner.of_melody(F.one_hot(pitches, shape.num_chroma).float())

    def _conditionings(
        self, states: Tensor | None, melodies: list[Tensor], pad_to: int | None
    ) -> tuple[Conditioning, Conditioning]:
        """Conditional and unconditional, of one row; texts padded with zeros, unmasked, to `pad_to` if it is not None.

        A decoder that reads its conditions as a prefix has no mask: there zeros stand for an empty prompt.
        """
        weight = self.stage.decoder.embed.weight
        text = torch.zeros(1, 1, self.sizes.width, device=weight.device) if states is None else states
        if pad_to is not None:
            text = F.pad(text, (0, 0, 0, pad_to - text.shape[1]))
        text = text.to(weight.dtype)
        nothing = torch.zeros_like(text)
        if self.sizes.melody is not None:
            silence = self._silence(self.sizes.melody).to(weight.dtype)
            prefix, *later = (torch.cat([melody.to(weight.dtype), text], dim=1) for melody in melodies)
            return (
                Conditioning(prefix=prefix, window_prefixes=tuple(later)),
                Conditioning(prefix=torch.cat([silence, nothing], dim=1)),
            )
        if pad_to is not None:
            return Conditioning(memory=text), Conditioning(memory=nothing)
        empty = Conditioning(memory=nothing[:, :1], memory_mask=torch.zeros(1, 1, dtype=torch.bool, device=text.device))
        return (empty if states is None else Conditioning(memory=text)), empty


def accepts_of(sizes: MusicGenConfig) -> dict[str, Any]:
    """The controls that a model takes, and what they may be."""
    return _ACCEPTS | ({} if sizes.melody is None else {"melody": _MELODY})


def check_controls(sizes: MusicGenConfig, controls: dict[str, Any]) -> Windows:
    """The windows that the controls ask for. ValueError for a control out of range."""
    padding = controls.get("padding", PADDINGS[0])
    if padding not in PADDINGS:
        raise ValueError(f"padding is {padding!r}; it should be {' or '.join(PADDINGS)}")
    most_s = sizes.context_frames / sizes.frame_rate
    stride_s = sizes.stride_frames / sizes.frame_rate
    window_s = _seconds("window_s", controls.get("window_s", most_s), most_s)
    stride_s = _seconds("stride_s", controls.get("stride_s", min(stride_s, 0.6 * window_s)), window_s)
    frames = max(2, round(window_s * sizes.frame_rate))
    return sizes.windows_of(frames, min(frames - 1, max(1, round(stride_s * sizes.frame_rate))))


class FrameGeneration:
    """One piece: the steps that are known and the sound of those that are drawn (`clavilux.family.Generation`)."""

    grammar: Grammar | None = None

    def __init__(
        self,
        family: MusicGen,
        request: Request,
        conditionings: tuple[Conditioning, Conditioning],
        windows: Windows,
        controls: dict[str, Any],
        notes: list[str],
    ) -> None:
        sizes, stage = family.sizes, family.stage
        self.conditioning, self.unconditional = conditionings
        self.windows = windows
        self._codec, self._seconds = family.codec, request.seconds
        self._num_samples = num_samples(sizes, request.seconds)
        total = num_frames(sizes, request.seconds)
        given = _given_frames(request, sizes, family.codec, notes)
        if given.shape[2] >= total:
            raise ValueError(
                f"seconds is {request.seconds:g}, and what is to be continued lasts "
                f"{given.shape[2] / sizes.frame_rate:.2f} s already; ask for more"
            )
        device = stage.decoder.embed.weight.device
        self.prompt = torch.full((1, sizes.codebooks, 1), sizes.special, device=device)
        self.plan = stage.layout.arrange(given, total)
        self._reader = FrameReader(stage.layout)
        self._stream = family.codec.decoder_stream()
        self._pieces = [max(1, round(part * sizes.frame_rate)) for part in (FIRST_S, PIECE_S)]
        self._frames: list[Tensor] = []  # each [1, K, m]; all of them, for the piece's tokens
        self._waiting: list[Tensor] = []
        self._num_given_out = 0
        self.receipt: dict[str, Any] = {
            **family.identity,
            "prompt": request.prompt[:500],
            "seconds": request.seconds,
            "seed": request.seed,
            "controls": controls,
            "notes": notes,
        }

    def to_decoder(self, tokens: Tensor) -> Tensor:
        """The same ids."""
        return tokens

    def from_decoder(self, logits: Tensor) -> Tensor:
        """The same logits."""
        return logits

    @property
    def at_s(self) -> float:
        """Seconds of the piece that are written."""
        return self._seconds * self._num_given_out / self._num_samples

    def push(self, tokens: Tensor) -> Tensor | None:
        """Take a step's tokens, int64 [K]; the samples [C, N] of about a second where that many frames are complete."""
        frames = self._reader.push(tokens[None, :, None].cpu())
        if not frames.shape[2]:
            return None
        self._frames.append(frames)
        self._waiting.append(frames)
        return self._sound() if len(self._waiting) >= self._pieces[0] else None

    @torch.inference_mode()
    def finish(self) -> Tensor:
        """The rest of the samples."""
        first = self._sound()
        with part("codec", self._codec.device):
            return torch.cat([first, self._cut(self._stream.finish())], dim=1)

    def complete(self, samples: Tensor) -> Audio:
        """The piece, of exactly the length asked for, with its tokens [K, T]."""
        tokens = torch.cat(self._frames, dim=2)[0]
        rate = self._codec.sample_rate
        return Audio(samples[:, : self._num_samples], rate, tokens=tokens, receipt=self.receipt)

    @torch.inference_mode()
    def _sound(self) -> Tensor:
        if not self._waiting:
            return torch.zeros(self._codec.channels, 0)
        frames, self._waiting = torch.cat(self._waiting, dim=2), []
        self._pieces = self._pieces[-1:]
        with part("codec", self._codec.device):
            return self._cut(self._stream.push(frames))

    def _cut(self, samples: Tensor | None) -> Tensor:
        """[1, C, n] -> [C, m], on the CPU and without what is beyond the piece's end."""
        if samples is None:
            return torch.zeros(self._codec.channels, 0)
        samples = samples[0, :, : self._num_samples - self._num_given_out].float().cpu()
        self._num_given_out += samples.shape[1]
        return samples


def num_samples(sizes: MusicGenConfig, seconds: float) -> int:
    """Samples of a piece, at least one."""
    return max(1, round(seconds * sizes.sample_rate))


def num_frames(sizes: MusicGenConfig, seconds: float) -> int:
    """Frames that a piece needs."""
    return math.ceil(num_samples(sizes, seconds) / sizes.hop)


def clip_of(source: Any, control: str) -> Audio:
    """A sound file or an Audio as an Audio. Raises ValueError, TypeError."""
    if isinstance(source, Audio):
        return source
    if not isinstance(source, (str, Path)):
        raise TypeError(f"{control} is {type(source).__name__}; it should be a sound file or an Audio")
    if is_midi(source):
        raise ValueError(f"{control} is the MIDI file {str(source)!r}; this model reads sound files")
    return Audio.load(source)


def _given_frames(request: Request, sizes: MusicGenConfig, codec: NeuralCodec, notes: list[str]) -> Tensor:
    """The whole frames of what is to be continued, int64 [1, K, T] on the CPU."""
    if request.continue_from is None:
        return torch.zeros(1, sizes.codebooks, 0, dtype=torch.int64)
    clip = clip_of(request.continue_from, "continue_from").resample(sizes.sample_rate)
    samples = clip.samples
    if len(samples) != sizes.channels:
        samples = clip.to_mono().samples.expand(sizes.channels, -1)
    whole = samples.shape[1] // sizes.hop
    if whole < 1:
        raise ValueError(
            f"what is to be continued has {samples.shape[1]} samples at {sizes.sample_rate} Hz; "
            f"it should have at least {sizes.hop}, one frame"
        )
    device = codec.device
    frames = codec.encode(samples[None, :, : whole * sizes.hop].to(device)).cpu()
    notes.append(f"continues a recording of {clip.duration_s:.2f} s, as the codec renders it")
    return frames[:, : sizes.codebooks, :whole]


def _seconds(name: str, value: Any, most: float) -> float:
    if not 0 < check_number(name, value, "seconds") <= most + 1e-9:
        raise ValueError(f"{name} is {value}; it should be above 0 and at most {most:g}")
    return float(value)


def _melody_of(clip: Audio, device: torch.device) -> tuple[Audio, str]:
    """What of a recording the melody is taken from, and the receipt's note of it."""
    if not source_separation.installed():
        return clip, "the melody is taken from the whole mix"
    try:
        return source_separation.without_rhythm(
            clip, device
        ), "the melody is taken from the mix without drums and bass, by demucs"
    except RuntimeError as error:
        return clip, f"the melody is taken from the whole mix: {error}"
