"""How the codebooks of a frame become the steps of a decoder, and back.

A frame is one time step of a codec, K tokens; a step is one forward pass of a decoder, one token for each
of its streams. Knows nothing of how tokens are drawn. A token that is still to be drawn is `OPEN`.
"""

from dataclasses import dataclass

import torch

from clavilux.kernels.sample.reference import OPEN

__all__ = ["OPEN", "Delay", "Flattened", "FrameReader", "Layout", "parallel"]


@dataclass(frozen=True)
class Delay:
    """Codebook k of frame t is read at step t + delays[k] (MusicGen, 2306.05284). All delays 0: parallel.

    Attributes:
        codebooks: K, also the decoder's streams.
        vocabulary: V, the codec's ids are 0 .. V - 1.
        delays: one a codebook, 0 or more; none at all: all 0.
        special: the id that stands where a step holds no frame; may be None where all delays are equal to 0.

    Raises:
        ValueError: a number outside its range.
    """

    codebooks: int
    vocabulary: int
    delays: tuple[int, ...] = ()
    special: int | None = None

    def __post_init__(self) -> None:
        _check_sizes(self)
        delays = tuple(self.delays) or (0,) * self.codebooks
        object.__setattr__(self, "delays", delays)
        if len(delays) != self.codebooks or any(type(delay) is not int or delay < 0 for delay in delays):
            raise ValueError(f"delays are {delays}; they should be {self.codebooks} whole numbers of 0 or more")
        if max(delays) > 0 and self.special is None:
            raise ValueError("special is None; delays above 0 need an id for the places without a frame")
        if self.special is not None and 0 <= self.special < self.vocabulary:
            raise ValueError(
                f"special is {self.special}; it should not be one of the codec's ids, 0 to {self.vocabulary - 1}"
            )

    @property
    def streams(self) -> int:
        """The tokens of a step."""
        return self.codebooks

    @property
    def steps_per_frame(self) -> int:
        """The steps that each further frame takes."""
        return 1

    def num_steps(self, num_frames: int) -> int:
        """The steps that hold `num_frames` frames."""
        return num_frames + max(self.delays) if num_frames else 0

    def num_frames(self, num_steps: int) -> int:
        """The frames that are complete after `num_steps` steps."""
        return max(0, num_steps - max(self.delays))

    def arrange(self, frames: torch.Tensor, num_frames: int | None = None) -> torch.Tensor:
        """Steps int64 [B, K, S] of `num_frames` frames, of which [B, K, T] are known.

        Args:
            frames: int64 [B, K, T], ids 0 .. V - 1, or `OPEN` for single tokens that are not known.
            num_frames: T or more; None: T. The tokens of frames that are not given are `OPEN`.

        Raises:
            ValueError: frames of another shape or with other ids, or fewer frames than are given.
        """
        total = _check_frames(self, frames, num_frames)
        outside = OPEN if self.special is None else self.special
        steps = frames.new_full((len(frames), self.codebooks, self.num_steps(total)), outside)
        for k, delay in enumerate(self.delays):
            steps[:, k, delay : delay + total] = OPEN
            steps[:, k, delay : delay + frames.shape[2]] = frames[:, k]
        return steps

    def restore(self, steps: torch.Tensor) -> torch.Tensor:
        """Frames int64 [B, K, T] that are complete in steps [B, K, S], the first of which is step 0.

        Raises:
            ValueError: steps of another shape, or an id inside a frame that is not the codec's.
        """
        return _checked_ids(self.restore_values(steps), self.vocabulary)

    def restore_values(self, steps: torch.Tensor) -> torch.Tensor:
        """As `restore`, of whatever each token of the steps has: [B, K, S, ...] -> [B, K, T, ...]."""
        _check_steps(self, steps)
        total = self.num_frames(steps.shape[2])
        return torch.stack([steps[:, k, delay : delay + total] for k, delay in enumerate(self.delays)], dim=1)

    def restore_logits(self, steps: torch.Tensor) -> torch.Tensor:
        """Logits of steps, [B, K, S, N] with N of V or more -> of the codec's ids in complete frames, [B, K, T, V]."""
        return self.restore_values(steps)[..., : self.vocabulary]

    def start_window(self, steps: torch.Tensor) -> torch.Tensor:
        """Steps [B, K, S] from the middle of a sequence, as a window begins with them: where a delay leaves no frame
        at its beginning, the special id stands, as it does at the beginning of the sequence.
        """
        steps = steps.clone()
        for k, delay in enumerate(self.delays):
            if delay and self.special is not None:  # there is one where there are delays
                steps[:, k, :delay] = self.special
        return steps

    def allowed(self, step: int, vocabulary: int) -> torch.Tensor | None:
        """bool [K, vocabulary]: the ids that a token drawn at this step may have; None where all may."""
        if vocabulary <= self.vocabulary:
            return None
        return (torch.arange(vocabulary) < self.vocabulary).expand(self.codebooks, -1)


@dataclass(frozen=True)
class Flattened:
    """Codebook k of frame t is step t * K + k of a single stream, with id k * V + token.

    Attributes:
        codebooks: K.
        vocabulary: V, the codec's ids are 0 .. V - 1; the stream's are 0 .. K * V - 1.

    Raises:
        ValueError: a number outside its range.
    """

    codebooks: int
    vocabulary: int

    def __post_init__(self) -> None:
        _check_sizes(self)

    @property
    def streams(self) -> int:
        """The tokens of a step."""
        return 1

    @property
    def steps_per_frame(self) -> int:
        """The steps that each further frame takes."""
        return self.codebooks

    def num_steps(self, num_frames: int) -> int:
        """The steps that hold `num_frames` frames."""
        return num_frames * self.codebooks

    def num_frames(self, num_steps: int) -> int:
        """The frames that are complete after `num_steps` steps."""
        return num_steps // self.codebooks

    def arrange(self, frames: torch.Tensor, num_frames: int | None = None) -> torch.Tensor:
        """Steps int64 [B, 1, S] of `num_frames` frames; as `Delay.arrange`."""
        total = _check_frames(self, frames, num_frames)
        steps = frames.new_full((len(frames), total, self.codebooks), OPEN)
        known = frames.transpose(1, 2)
        steps[:, : frames.shape[2]] = torch.where(known == OPEN, OPEN, known + self._offsets(frames.device))
        return steps.flatten(1)[:, None]

    def restore(self, steps: torch.Tensor) -> torch.Tensor:
        """Frames int64 [B, K, T] that are complete in steps [B, 1, S]; as `Delay.restore`."""
        return _checked_ids(self.restore_values(steps) - self._offsets(steps.device)[:, None], self.vocabulary)

    def restore_values(self, steps: torch.Tensor) -> torch.Tensor:
        """As `Delay.restore_values`: [B, 1, S, ...] -> [B, K, T, ...]."""
        _check_steps(self, steps)
        total = self.num_frames(steps.shape[2])
        return steps[:, 0, : total * self.codebooks].unflatten(1, (total, self.codebooks)).transpose(1, 2)

    def restore_logits(self, steps: torch.Tensor) -> torch.Tensor:
        """As `Delay.restore_logits`: [B, 1, S, K * V] -> [B, K, T, V]."""
        each = self.restore_values(steps).unflatten(-1, (self.codebooks, self.vocabulary))  # [B, K, T, K, V]
        return each.diagonal(dim1=1, dim2=3).movedim(-1, 1)

    def start_window(self, steps: torch.Tensor) -> torch.Tensor:
        """As `Delay.start_window`: nothing is delayed here."""
        return steps

    def allowed(self, step: int, vocabulary: int) -> torch.Tensor | None:
        """bool [1, vocabulary]: the ids that a token drawn at this step may have."""
        return (torch.arange(vocabulary) // self.vocabulary == step % self.codebooks)[None]

    def _offsets(self, device: torch.device) -> torch.Tensor:
        return torch.arange(self.codebooks, device=device) * self.vocabulary


Layout = Delay | Flattened


def parallel(codebooks: int, vocabulary: int) -> Delay:
    """All codebooks of a frame in one step."""
    return Delay(codebooks, vocabulary)


class FrameReader:
    """Gives frames as soon as the steps that hold them are known."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._pending: torch.Tensor | None = None

    def push(self, steps: torch.Tensor) -> torch.Tensor:
        """Take the next steps, int64 [B, K, n], n of 0 or more; the frames that are new, [B, K, m].

        Raises:
            ValueError: as `Delay.restore`.
        """
        pending = steps if self._pending is None else torch.cat([self._pending, steps], dim=2)
        frames = self.layout.restore(pending)
        self._pending = pending[:, :, frames.shape[2] * self.layout.steps_per_frame :]
        return frames


def _check_sizes(layout: Layout) -> None:
    for name in ("codebooks", "vocabulary"):
        value = getattr(layout, name)
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} is {value!r}; it should be a whole number of at least 1")


def _check_frames(layout: Layout, frames: torch.Tensor, num_frames: int | None) -> int:
    if frames.ndim != 3 or frames.shape[1] != layout.codebooks:
        raise ValueError(f"frames are {tuple(frames.shape)}; they should be [B, {layout.codebooks}, T]")
    _checked_ids(frames[frames != OPEN], layout.vocabulary)
    known = frames.shape[2]
    if num_frames is not None and num_frames < known:
        raise ValueError(f"num_frames is {num_frames}; {known} frames are given, it should be as many or more")
    return known if num_frames is None else num_frames


def _check_steps(layout: Layout, steps: torch.Tensor) -> None:
    if steps.ndim < 3 or steps.shape[1] != layout.streams:
        raise ValueError(f"steps are {tuple(steps.shape)}; they should be [B, {layout.streams}, S]")


def _checked_ids(frames: torch.Tensor, vocabulary: int) -> torch.Tensor:
    bad = frames[(frames < 0) | (frames >= vocabulary)]
    if len(bad):
        raise ValueError(f"a frame holds the id {int(bad[0])}; the codec's are 0 to {vocabulary - 1}")
    return frames
