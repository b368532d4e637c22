"""Audio: a clip of sound, together with the notes and tokens that it was made from.

Knows how to save, load, cut and show itself. Does not know how it was made.
"""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from clavilux.audio import frontend, io, reading, saving
from clavilux.audio.blocks import ArrayBlocks
from clavilux.audio.loudness import normalize
from clavilux.files import PAGE_ENDINGS, SCORE_ENDINGS, PathLike
from clavilux.stamp import Stamp, public

if TYPE_CHECKING:
    from clavilux.audio.score import Score
    from clavilux.audio.soundfont import SoundFont
    from clavilux.audio.stems import Performance


@dataclass(eq=False, repr=False)
class Audio:
    """A clip of sound.

    Attributes:
        samples: float32 [C, N]; full scale is 1.0.
        sample_rate: Hz.
        score: the notes, where the model wrote a score first.
        tokens: int64 [K, T], where the clip was made from tokens.
        receipt: seed, model, settings: what is needed to make the clip again. Plain JSON values.
        remarks: what was wrong with the file that it was read from, "cut off: the header promises 12.0 s, 7.3 s are
            there"; empty for a whole one.
        timings: seconds that making it took, by part: "text_s", "prefill_s", "steps_s", "codec_s"; empty where no model
            made it. Pieces that were made side by side, or out of which it is cut, share them.
        performance: the notes as they were played, to their last sample, where sampled instruments played them.
        loops: whether its end joins its beginning; such a clip is brought to its loudness as one that goes round.
        stamp: what signs the files that it is saved as; None for what is only read here.
        origin: the file that it was read from.
    """

    samples: torch.Tensor
    sample_rate: int
    score: Score | None = None
    tokens: torch.Tensor | None = None
    receipt: dict[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)
    performance: Performance | None = None
    loops: bool = False
    stamp: Stamp | None = None
    origin: Path | None = None

    def __post_init__(self) -> None:
        self.samples = io.check_samples(self.samples)
        self.sample_rate = io.check_rate(self.sample_rate)

    @classmethod
    def load(cls, path: PathLike, *, strict: bool = False) -> Audio:
        """Read a wav, flac, ogg or mp3 file; a receipt in its comment tag is read too.

        Args:
            path: of the file.
            strict: refuse a file that is damaged or cut off, of which there would be `remarks`.

        Raises:
            ValueError: the file is missing, of a kind that is not read, too large, or damaged beyond reading.
        """
        sound = reading.read(path, strict=strict)
        receipt = reading.receipt_from(sound.comment)
        return cls(sound.samples, sound.sample_rate, receipt=receipt, remarks=sound.remarks, origin=Path(path))

    def save(self, path: PathLike, loudness: bool | float = True) -> None:
        """Write the clip; the ending chooses the format: .wav, .flac, .ogg, .mp3; .mid, .musicxml, .abc for notes.

        Of the notes also .svg and .png, a picture (the extra `clavilux[scores]`), and .txt, a sheet of their chords.

        Args:
            path: where to; written beside it first, then renamed, so there is never half a file.
            loudness: True brings the clip to -14 LUFS with its peak below -1 dBFS; a number is another
                target in LUFS; False keeps the level.

        Raises:
            ValueError: unknown ending, a folder that is missing or not writable, notes of a clip without a score.
            OSError: writing failed (a full disk); nothing is left behind.
        """
        if Path(path).suffix.lower() in (*SCORE_ENDINGS, *PAGE_ENDINGS):
            if self.score is None:
                raise ValueError(
                    f"This clip has no score, so it cannot be saved as {str(path)!r}; "
                    f"save it as {', '.join(io.FORMATS)}."
                )
            from clavilux.audio.notation.files import save_score

            title = str(public(self.stamp, self.receipt).get("prompt", ""))
            save_score(self.score, path, title, receipt=self.receipt, stamp=self.stamp)
            return
        samples = self.samples
        if self.loops:
            io.check_seamless(path)
            if loudness is not False:
                from clavilux.audio.looping import leveled_loop

                samples = leveled_loop(samples, self.sample_rate, saving.target_of(loudness))
                loudness = False
        blocks = ArrayBlocks(samples)
        saving.save(path, blocks, self.sample_rate, loudness=loudness, receipt=self.receipt, stamp=self.stamp)

    def stems(self, soundfont: SoundFont | None = None) -> dict[str, Audio]:
        """Each instrument's share of the sound, by name: "violin 1", "drums". Their sum is the clip, but for rounding.

        They are as loud as they are in it, before `save` brings anything to a loudness.

        Args:
            soundfont: whose instruments play, where the clip was made from a score with others than the bundled ones.

        Raises:
            ValueError: the clip has no notes, or its sound is more than its notes, as of a song that goes on from a
                recording.
        """
        from clavilux.audio import stems  # which imports the renderer, which a clip alone has no use for

        played = self.performance
        if played is None:
            if self.score is None:
                raise ValueError("this clip has no score, so it has no stems: they are played from notes")
            played = stems.Performance.of_score(self.score, soundfont)
        parts = stems.stem_samples(played, self.sample_rate, self.samples.shape[1], around=self.loops)
        away_db = stems.difference_dbfs(self.samples, parts)
        if away_db > stems.MOST_DIFFERENCE_DBFS:
            raise ValueError(
                f"the stems of this clip would sum to another sound, by up to {away_db:.1f} dBFS: it holds more than "
                "its notes, or was changed after they were played"
            )
        return {name: self._part(samples) for name, samples in parts.items()}

    def as_played(self) -> Audio:
        """The clip with its score's notes at the times at which they were played: a band's hands are off the grid.

        Raises:
            ValueError: the clip was not played from a score.
        """
        from clavilux.audio import stems  # which imports the renderer, which a clip alone has no use for

        if self.score is None or self.performance is None:
            raise ValueError("this clip was not played from a score, so there are no played times")
        return replace(self, score=stems.played_score(self.score, self.performance))

    def loop(self, soundfont: SoundFont | None = None) -> Audio:
        """The whole bars of the clip's score as a loop: what rings at the end is heard at the beginning.

        Args:
            soundfont: whose instruments play; those of the clip if None.

        Raises:
            ValueError: the clip has no score, or no whole bar.
        """
        from clavilux.audio import looping

        if self.score is None:
            raise ValueError("this clip has no score, so its bars are not known, and it makes no loop")
        if soundfont is None and self.performance is not None:
            soundfont = self.performance.soundfont
        mark = None if self.performance is None else self.performance.mark
        score, played, samples = looping.looped(self.score, self.sample_rate, soundfont, mark)
        return replace(self, samples=samples, score=score, tokens=None, performance=played, loops=True)

    @property
    def channels(self) -> int:
        """C: 1 is mono, 2 stereo."""
        return self.samples.shape[0]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples.shape[1] / self.sample_rate

    def resample(self, sample_rate: int) -> Audio:
        """The same clip at another rate (soxr, very high quality), round(N * new / old) samples long.

        Raises:
            ValueError: a rate that is no whole number of Hz from 1 to 655350.
        """
        sample_rate = io.check_rate(sample_rate)
        if sample_rate == self.sample_rate:
            return self._like(self.samples)
        data = frontend.resample_array(self.samples.numpy().T, self.sample_rate, sample_rate)  # [N, C]
        wanted = max(1, round(self.samples.shape[1] * sample_rate / self.sample_rate))
        data = np.pad(data, ((0, max(0, wanted - len(data))), (0, 0)))[:wanted]
        return self._like(torch.from_numpy(np.ascontiguousarray(data.T)), sample_rate=sample_rate)

    def to_mono(self) -> Audio:
        """The mean of all channels, [1, N]."""
        return self._like(self.samples.mean(dim=0, keepdim=True))

    def slice(self, start_s: float, end_s: float | None = None) -> Audio:
        """The sound from `start_s` to `end_s` seconds (to the end if None), without score and tokens.

        Raises:
            ValueError: no sound lies between the two.
        """
        end_s = self.duration_s if end_s is None else end_s
        if not 0 <= start_s < end_s:
            raise ValueError(f"A slice needs 0 <= start_s < end_s, not {start_s} to {end_s}.")
        first, last = round(start_s * self.sample_rate), round(end_s * self.sample_rate)
        samples = self.samples[:, first:last]
        if samples.shape[1] == 0:
            raise ValueError(
                f"The slice from {start_s} s to {end_s} s is empty: the clip ends at {self.duration_s:.2f} s."
            )
        return self._part(samples.clone())

    def _like(self, samples: torch.Tensor, *, sample_rate: int | None = None) -> Audio:
        found = replace(self._part(samples), score=self.score, tokens=self.tokens)
        return found if sample_rate is None else replace(found, sample_rate=sample_rate)

    def _part(self, samples: torch.Tensor) -> Audio:
        """Other samples of the same making, without score and tokens."""
        return Audio(samples, self.sample_rate, receipt=dict(self.receipt), stamp=self.stamp, origin=self.origin)

    def __repr__(self) -> str:
        channels = {1: "mono", 2: "stereo"}.get(self.channels, f"{self.channels} channels")
        parts = [f"{self.duration_s:.2f} s", f"{self.sample_rate} Hz", channels]
        parts += [name for name in ("score", "tokens") if getattr(self, name) is not None]
        return f"Audio({', '.join(parts)})"

    def _repr_html_(self) -> str:
        """A player for notebooks; the sound is inside the page, at the loudness that `save` would give it."""
        samples = normalize(self.samples, self.sample_rate) if self.channels <= 5 else self.samples
        payload = io.encode(samples, self.sample_rate, ".wav")
        source = "data:audio/wav;base64," + base64.b64encode(payload).decode()
        return (
            f'<figure style="margin:0"><audio controls preload="metadata" src="{source}"></audio>'
            f"<figcaption><small>{html.escape(repr(self))}</small></figcaption></figure>"
        )
