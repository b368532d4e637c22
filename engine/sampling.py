"""How tokens are drawn: the settings, the noise of each step, and what a grammar is.

Knows no decoder: `Sampler` turns logits into tokens.
"""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch

from clavilux.checks import check_number
from clavilux.kernels.sample import gumbel, sample
from clavilux.marking import KeyedNoise, Mark, Place, nonce_of


class Grammar(Protocol):
    """Which tokens may come next in one row. `allowed` is called once a step, then `advance` with what was drawn."""

    @property
    def done(self) -> bool:
        """Whether the row has ended; nothing more is drawn for it."""

    def allowed(self) -> torch.Tensor:
        """bool [K, V], True for each token that may come next; or int64 [K], the tokens that must."""

    def advance(self, tokens: torch.Tensor) -> None:
        """Take note of the tokens, int64 [K], that came next."""


@runtime_checkable
class PlacedGrammar(Grammar, Protocol):
    """A grammar whose tokens can be marked."""

    def place(self) -> Place | None:
        """Where a marked token would stand that comes next; None where none is marked. Asked for a mark alone."""


@runtime_checkable
class LeaningGrammar(Grammar, Protocol):
    """A grammar that makes some of what may come less likely."""

    def lean(self, logits: torch.Tensor) -> None:
        """Change the next step's logits [R, K, V] in place, those of R guidance weights; asked after `allowed`, where
        something is to be drawn.
        """


@runtime_checkable
class OrderedGrammar(Grammar, Protocol):
    """A grammar whose codebooks are drawn one after another, because what one may be depends on those before it.

    Its `allowed` gives int64 [K] alone: the tokens that must come, and `OPEN` where one is to be drawn. All grammars of
    a batch have the same order.
    """

    @property
    def order(self) -> tuple[int, ...]:
        """The codebooks, each once, in the order in which those of one step are drawn."""

    def choices(self, book: int) -> torch.Tensor:
        """bool [V], True for each token that an open codebook may have; asked once, then `take` is called."""

    def take(self, book: int, token: int) -> None:
        """Take note of what was drawn for an open codebook; `advance` is told of all tokens all the same."""


@dataclass(frozen=True)
class Schedule:
    """A guidance scale that changes from step to step.

    Attributes:
        scales: that of each step; the last one stays. There are two blocks of rows throughout.

    Raises:
        ValueError, TypeError: no scales, or one that is no finite number.
    """

    scales: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.scales:
            raise ValueError("a schedule of guidance is empty; it should have a scale for each step")
        for scale in self.scales:
            _finite("guidance", scale)

    @classmethod
    def between(cls, points: Sequence[float], num_steps: int) -> "Schedule":
        """Scales that go in straight lines from each point to the next, the first at step 0, the last at the last."""
        last = len(points) - 1
        scales = []
        for step in range(num_steps):
            place = step * last / max(1, num_steps - 1)
            left = min(int(place), max(0, last - 1))
            right = min(left + 1, last)
            scales.append(points[left] + (place - left) * (points[right] - points[left]))
        return cls(tuple(scales))


@dataclass(frozen=True, kw_only=True)
class SamplingSpec:
    """The settings of a draw.

    Attributes:
        temperature: 0 (the likeliest token, always) or more.
        top_k: keep the k likeliest tokens and what equals the last of them; 0 keeps all.
        top_p: keep the likeliest tokens up to this mass, above 0; 1 keeps all.
        guidance: a scale s for s * conditional + (1 - s) * unconditional rows, 1 for none; or a `Schedule` of such
            scales; or the weight of each block of rows.
        mark: of what is drawn, at a temperature above 0; None: none.
        seed: -2^63 .. 2^64 - 1; one for all rows (which then differ), or one a row. A row that has a seed
            of its own gets the same tokens alone, or with any others beside it.

    Raises:
        ValueError, TypeError: a value outside its range or of another type.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    guidance: float | tuple[float, ...] | Schedule = 1.0
    seed: int | tuple[int, ...] = 0
    mark: Mark | None = None

    def __post_init__(self) -> None:
        if not (_finite("temperature", self.temperature) >= 0):
            raise ValueError(f"temperature is {self.temperature}; it should be 0 or more")
        if _whole("top_k", self.top_k) < 0:
            raise ValueError(f"top_k is {self.top_k}; it should be 0 (keep all) or more")
        if not 0 < _finite("top_p", self.top_p) <= 1:
            raise ValueError(f"top_p is {self.top_p}; it should be above 0, up to 1 (keep all)")
        if not isinstance(self.guidance, Schedule):
            weights = self.guidance if isinstance(self.guidance, tuple) else (self.guidance,)
            if not weights:
                raise ValueError("guidance is empty; it should be a scale, or a weight for each block of rows")
            for weight in weights:
                _finite("guidance", weight)
        seeds = self.seed if isinstance(self.seed, tuple) else (self.seed,)
        if not seeds:
            raise ValueError("seed is empty; it should be a whole number, or one for each row")
        for seed in seeds:
            if not -(2**63) <= _whole("seed", seed) < 2**64:
                raise ValueError(f"seed is {seed}; it should be from -2^63 to 2^64 - 1")

    @property
    def is_marked(self) -> bool:
        """Whether a mark is drawn: never where the likeliest token always comes."""
        return self.mark is not None and self.temperature > 0

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of each block of rows at the first step: conditional, unconditional, third."""
        return self.table[0]

    @property
    def table(self) -> tuple[tuple[float, ...], ...]:
        """The weights of the blocks at each step; the last ones stay."""
        if isinstance(self.guidance, tuple):
            return (self.guidance,)
        if isinstance(self.guidance, Schedule):
            return tuple((scale, 1 - scale) for scale in self.guidance.scales)
        return ((1.0,),) if self.guidance == 1 else ((self.guidance, 1 - self.guidance),)

    def keys(self, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """int64 [B] each: every row's seed, and its number among the rows that share that setting.

        Raises:
            ValueError: there are seeds, but not one for each of `batch` rows.
        """
        if not isinstance(self.seed, tuple):
            return torch.full((batch,), _signed(self.seed)), torch.arange(batch)
        if len(self.seed) != batch:
            raise ValueError(f"there are {len(self.seed)} seeds; there should be one for each of {batch} rows")
        return torch.tensor([_signed(seed) for seed in self.seed]), torch.zeros(batch, dtype=torch.int64)


class Sampler:
    """Draws the tokens of `batch` rows, step after step.

    The noise of a step depends on the seeds and the step's number alone, so it is computed for many steps
    at a time, and any step can be drawn again. That of a mark depends on its key, the seeds and the token's place.
    """

    STEPS_AT_A_TIME = 64

    def __init__(
        self,
        spec: SamplingSpec,
        batch: int,
        codebooks: int,
        vocabulary: int,
        device: torch.device | str = "cpu",
    ):
        self.spec = spec
        self.batch = batch
        self.codebooks = codebooks
        self.vocabulary = vocabulary
        self._table = spec.table
        self._seeds, self._rows = (part.to(device) for part in spec.keys(batch))
        self._block: torch.Tensor | None = None
        self._block_start = 0
        self._marking = Marking(spec, batch, codebooks, vocabulary, device) if spec.is_marked else None

    def noise(self, step: int) -> torch.Tensor:
        """float32 [B, K, V], the Gumbel noise of one step, 0 .. 2^32 - 1."""
        offset = step - self._block_start
        if self._block is None or not 0 <= offset < len(self._block):
            # Blocks start at multiples of their size, and big noise is computed in smaller blocks (16 MiB).
            size = 4 * self.batch * self.codebooks * self.vocabulary
            count = max(1, min(self.STEPS_AT_A_TIME, 2**24 // size))
            self._block_start = step - step % count
            self._block = gumbel(
                self._seeds,
                self._rows,
                self._block_start,
                min(count, 2**32 - self._block_start),
                self.codebooks,
                self.vocabulary,
            )
            offset = step - self._block_start
        return self._block[offset]

    def marks(self, book: int) -> bool:
        """Whether tokens of a codebook are marked."""
        return self._marking is not None and self._marking.stream == book

    def draw(
        self,
        logits: torch.Tensor,
        step: int,
        allowed: torch.Tensor | None = None,
        book: int | None = None,
        places: Sequence[Place | None] | None = None,
    ) -> torch.Tensor:
        """Draw int64 [B, K] from logits [R * B, K, V] with the noise of `step`.

        Args:
            logits: R blocks of B rows, R the number of guidance weights.
            step: the number of the draw.
            allowed: bool [B, K, V], or a shape that expands to it; only True tokens can be drawn.
            book: the codebook that is drawn alone, with the noise that it has among the others; K is then 1 in
                `allowed` and in what is drawn.
            places: of each row's marked token, None for a row whose token of this step is not marked; None: as the mark
                says.

        Raises:
            ValueError: as `clavilux.kernels.sample.sample`.
        """
        spec = self.spec
        noise = None if spec.temperature == 0 else self.noise(step)
        groups, keyed = (None, None) if self._marking is None else self._marking.of(step, places)
        if book is not None:
            logits = logits[:, book : book + 1]
            noise = None if noise is None else noise[:, book : book + 1]
            groups = None if groups is None else groups[:, book : book + 1]
            keyed = None if keyed is None else keyed[:, book : book + 1]
        return sample(
            logits,
            noise,
            weights=self._table[min(step, len(self._table) - 1)],
            temperature=spec.temperature,
            top_k=spec.top_k,
            top_p=spec.top_p,
            allowed=allowed,
            groups=groups,
            keyed=keyed,
        )


class Marking:
    """The groups and the keyed noise of each step, as `sample` and `sample_step` take them.

    Attributes:
        stream: the codebook that is marked.
        groups: int64 [B, K, V], the group of each token, -1 for those that are not marked.
    """

    def __init__(
        self, spec: SamplingSpec, batch: int, codebooks: int, vocabulary: int, device: torch.device | str
    ) -> None:
        assert spec.mark is not None, "the spec is marked"
        self._mark, self._batch, self._codebooks = spec.mark, batch, codebooks
        seeds, rows = (part.tolist() for part in spec.keys(batch))
        self._nonces = spec.mark.nonces or tuple(nonce_of(s, r) for s, r in zip(seeds, rows, strict=True))
        if len(self._nonces) != batch:
            raise ValueError(f"there are {len(self._nonces)} nonces; there should be one for each of {batch} rows")
        tokens = spec.mark.tokens
        self.stream = tokens.stream
        self._noise = KeyedNoise(spec.mark.key, tokens.num_groups)
        self.groups = torch.full((batch, codebooks, vocabulary), -1, device=device)
        self.groups[:, tokens.stream, : len(tokens.groups)] = tokens.groups.to(device)

    def of(self, step: int, places: Sequence[Place | None] | None) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """(int64 [B, K, V], float32 [B, K, G]); none where no row's token is marked."""
        here = self._mark.places(step, self._batch) if places is None else places
        if all(place is None for place in here):
            return None, None
        keyed = self._noise.rows(self._nonces, here).to(self.groups.device)
        keyed = keyed[:, None].expand(-1, self._codebooks, -1)
        if all(place is not None for place in here):
            return self.groups, keyed
        open_rows = torch.tensor([place is not None for place in here], device=self.groups.device)
        return self.groups.masked_fill(~open_rows[:, None, None], -1), keyed

    def table(self, first: int, count: int) -> torch.Tensor:
        """float32 [count, B, K, G] on the host: the keyed noise of steps that no grammar watches over, NaN where none
        is marked.
        """
        table = torch.full((count, self._batch, self._codebooks, self._noise.num_groups), torch.nan)
        for offset in range(count):
            here = self._mark.places(first + offset, self._batch)
            if any(place is not None for place in here):
                rows = torch.tensor([place is not None for place in here])
                table[offset, rows, self.stream] = self._noise.rows(self._nonces, here)[rows]
        return table


def _signed(seed: int) -> int:
    """The int64 with the same 64 bits."""
    return seed - 2**64 if seed >= 2**63 else seed


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; it should be a whole number")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; it should be a whole number") from None


def _finite(name: str, value: float) -> float:
    if not math.isfinite(check_number(name, value)):
        raise ValueError(f"{name} is {value}; it should be finite")
    return value


def guidance_of(value: float | str | None, num_steps: int) -> float | Schedule | None:
    """A scale, or a schedule where there are several with colons between them."""
    if not isinstance(value, str):
        return value
    try:
        points = [float(part) for part in value.split(":")]
    except ValueError:
        raise ValueError(
            f"guidance is {value!r}; it should be a number, or numbers with colons between them, such as '1:7.5'"
        ) from None
    return points[0] if len(points) == 1 else Schedule.between(points, num_steps)
