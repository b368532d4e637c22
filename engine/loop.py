"""The loop that every model runs: read tokens, draw the next ones, give them out.

Knows the decoder, the sampler, windows and grammars; does not know what a token means or what a codec is.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Protocol

import torch

from clavilux.captured_loop import generate_captured
from clavilux.conditioning import Conditioning
from clavilux.context_window import Readers, room_of
from clavilux.decoder import Decoder
from clavilux.kernels.sample import LARGEST_MARKED
from clavilux.layout import OPEN, Layout
from clavilux.marking import Place
from clavilux.sampling import Grammar, LeaningGrammar, OrderedGrammar, PlacedGrammar, Sampler, SamplingSpec
from clavilux.threads import one_thread
from clavilux.windows import Windows

SMALL_DECODER = 30_000_000  # parameters


class Drawable(Protocol):
    """What the loop reads of a generation, whatever it makes."""

    @property
    def prompt(self) -> torch.Tensor:
        """int64 [1, K, T], read before anything is drawn."""

    @property
    def plan(self) -> torch.Tensor | None:
        """int64 [1, K, S], what is known of the steps to come; None where a grammar says it."""

    @property
    def grammar(self) -> Grammar | None:
        """What may come at each step; None where a plan says it."""

    @property
    def conditioning(self) -> Conditioning:
        """One row."""

    @property
    def unconditional(self) -> Conditioning | None:
        """The row of guidance's second block; None where nothing could guide."""


def generate_tokens(
    decoder: Decoder,
    sampling: SamplingSpec,
    prompt: torch.Tensor,
    *,
    num_steps: int | None = None,
    plan: torch.Tensor | None = None,
    grammars: Sequence[Grammar] | None = None,
    layout: Layout | None = None,
    conditioning: Conditioning | None = None,
    windows: Windows | None = None,
    pad: int = 0,
    replay_from: int | None = None,
) -> Iterator[torch.Tensor]:
    """Draw the steps that follow a prompt, one after another.

    What is known beforehand (the prompt, known columns of the plan, tokens that a grammar forces) is read in one pass;
    only a step with something to draw costs a pass of its own. Rows with grammars are each read by themselves, where
    they have something to draw, and their steps together (`Readers`): so what a row draws does not depend on when the
    others are forced.

    Args:
        decoder: in eval mode, K codebooks.
        sampling: its weights say how many blocks of rows there are, R.
        prompt: int64 [B, K, T], read first and not given out. T may be 0 where the conditioning has a prefix.
        num_steps: how many steps to draw; with grammars, the most.
        plan: int64 [B or 1, K, S] instead of num_steps, such as `Layout.arrange` gives: ids that must come,
            and `OPEN` for those to draw.
        grammars: one a row, whose steps end when its grammar is done; without num_steps or a plan, the loop
            ends when all are done. Codebooks of an `OrderedGrammar` are drawn one after another.
        layout: restricts each step to the ids that its frames may have.
        conditioning: R * B rows, block after block (`Conditioning.stack`).
        windows: for sequences longer than the context; None: that is an error.
        pad: the id that an ended row gives out while others go on.
        replay_from: steps from this one on are read one by one even where the plan knows them, as they were when they
            were drawn: what follows is then the same to the last bit.

    On a GPU, steps that no grammar watches over are one captured graph, replayed (`clavilux.graph`), which stays there
    for the next call of the same shape (`clavilux.graph_cache`). A marked draw of more than `LARGEST_MARKED` tokens is
    not in that graph: its steps are called one by one, which takes several times as long.

    Yields:
        int64 [B, K], the steps in order, known ones included; from a captured graph on the host.

    Raises:
        ValueError: arguments that do not fit, a sequence that there is no room for, or what sampling raises.
    """
    batch, codebooks, known = _checked_prompt(decoder, prompt)
    if plan is None and num_steps is None and grammars is None:
        raise ValueError("nothing says where to end; num_steps, a plan or grammars should")
    if plan is not None:
        num_steps = _checked_plan(plan, batch, codebooks, num_steps)
    if grammars is not None and len(grammars) != batch:
        raise ValueError(f"there are {len(grammars)} grammars; there should be one for each of {batch} rows")
    _check_overlap(windows, layout)
    room, total = room_of(decoder, conditioning, windows), None if num_steps is None else known + num_steps
    if total is not None and windows is None and grammars is None and total - 1 > room:
        raise ValueError(
            f"{known} prompt tokens and {num_steps} steps are asked for; there is room for {room + 1}, windows would "
            "allow more"
        )
    held = not sampling.is_marked or decoder.spec.num_outputs <= LARGEST_MARKED  # by a captured step
    if grammars is None and _is_captured(prompt.device) and held:
        if plan is None:
            assert num_steps is not None, "one of them is given"
            plan = torch.full((batch, codebooks, num_steps), OPEN)
        yield from generate_captured(
            decoder, sampling, prompt, plan, layout=layout, conditioning=conditioning, windows=windows,
            replay_from=replay_from,
        )  # fmt: skip
        return
    readers = Readers(
        decoder, batch, apart=grammars is not None and batch > 1, blocks=len(sampling.weights),
        conditioning=conditioning, windows=windows, layout=layout, total=total,
    )  # fmt: skip
    readers.add(prompt)
    sampler = Sampler(sampling, batch, codebooks, decoder.spec.num_outputs, prompt.device)
    ordered = [grammar for grammar in grammars or () if isinstance(grammar, OrderedGrammar)]
    assert not ordered or len(ordered) == batch, "the grammars of a batch are of one kind"
    leaning = {row: each for row, each in enumerate(grammars or ()) if isinstance(each, LeaningGrammar)}
    step = 0
    while (num_steps is None or step < num_steps) and not (grammars and all(grammar.done for grammar in grammars)):
        asked = [_asked(grammar, codebooks, pad) for grammar in grammars or ()]
        tokens = _known(plan, step, asked, batch, codebooks, prompt.device)
        open_places = tokens == OPEN
        replayed = replay_from is not None and step >= replay_from
        rows = [row for row, drawn in enumerate(open_places.any(1).tolist()) if drawn or replayed]
        if rows:
            logits = readers.read(rows)
        if open_places.any():
            logits = _leaned(leaning, logits, batch) if leaning else logits
            if ordered:
                tokens = _drawn_in_order(sampler, logits, step, tokens.cpu(), ordered).to(prompt.device)
            else:
                places = _places(grammars) if grammars and sampling.is_marked else None
                drawn = sampler.draw(logits, step, _allowed(asked, layout, step, logits[:batch]), places=places)
                tokens = torch.where(open_places, drawn, tokens)
        for row, grammar in enumerate(grammars or ()):
            if not grammar.done:
                grammar.advance(tokens[row].cpu())
        readers.add(tokens[:, :, None])
        yield tokens
        step += 1


def group_by_prefix_length(
    generations: Sequence[Drawable], sampling: SamplingSpec
) -> Iterator[tuple[list[int], SamplingSpec]]:
    """The rows that are generated together, and how they are sampled, one group after the other.

    Rows whose prefixes or prompts differ in length are not batched: padding would change what they read.
    """
    found: dict[tuple[int, int], list[int]] = {}
    for row, generation in enumerate(generations):
        found.setdefault((generation.conditioning.num_prefix, generation.prompt.shape[2]), []).append(row)
    seeds = sampling.seed if isinstance(sampling.seed, tuple) else (sampling.seed,)
    for rows in found.values():
        yield rows, replace(sampling, seed=tuple(seeds[row] for row in rows))


def sample_rows(
    decoder: Decoder,
    generations: Sequence[Drawable],
    sampling: SamplingSpec,
    *,
    layout: Layout | None = None,
    windows: Windows | None = None,
) -> Iterator[torch.Tensor]:
    """The steps int64 [B, K] of generations that are made together, as `generate_tokens` gives them."""
    conditionings = [generation.conditioning for generation in generations]
    if len(sampling.weights) > 1:
        conditionings += [each.unconditional for each in generations if each.unconditional is not None]
    plans = [generation.plan for generation in generations if generation.plan is not None]
    grammars = [generation.grammar for generation in generations if generation.grammar is not None]
    steps = generate_tokens(
        decoder,
        sampling,
        torch.cat([generation.prompt for generation in generations]),
        plan=torch.cat(plans) if plans else None,
        grammars=grammars or None,
        conditioning=Conditioning.stack(conditionings),
        layout=layout,
        windows=windows,
    )
    return single_threaded_if_small(steps, decoder)


def single_threaded_if_small(steps: Iterator[torch.Tensor], decoder: Decoder) -> Iterator[torch.Tensor]:
    """The steps, each drawn on one thread where the decoder is so small that threads would only wait.

    On two busy cores a step of 3 M parameters took 30 ms on two threads and 3 ms on one.
    """
    small = decoder.embed.weight.device.type == "cpu" and decoder.num_parameters < SMALL_DECODER
    while True:
        with one_thread() if small else nullcontext(), torch.inference_mode():
            tokens = next(steps, None)
        if tokens is None:
            return
        yield tokens


def _is_captured(device: torch.device) -> bool:
    """Whether steps are one captured graph there."""
    return device.type == "cuda"


def _checked_prompt(decoder: Decoder, prompt: torch.Tensor) -> torch.Size:
    if prompt.ndim != 3 or prompt.shape[1] != decoder.spec.codebooks or prompt.dtype != torch.int64:
        raise ValueError(
            f"the prompt is {prompt.dtype} {tuple(prompt.shape)}; it should be int64 [B, {decoder.spec.codebooks}, T]"
        )
    if prompt.numel() and not 0 <= int(prompt.min()) <= int(prompt.max()) < decoder.spec.vocabulary:
        raise ValueError(
            f"the prompt holds ids from {int(prompt.min())} to {int(prompt.max())}; the decoder reads "
            f"0 to {decoder.spec.vocabulary - 1}"
        )
    return prompt.shape


def _check_overlap(windows: Windows | None, layout: Layout | None) -> None:
    longest = max(getattr(layout, "delays", (0,)))
    if windows is not None and windows.context - windows.keep - windows.stride < longest > 0:
        raise ValueError(
            f"windows of {windows.context} tokens that move by {windows.stride} share too few with a layout whose "
            f"longest delay is {longest}; they should share as many"
        )


def _checked_plan(plan: torch.Tensor, batch: int, codebooks: int, num_steps: int | None) -> int:
    if plan.ndim != 3 or plan.shape[0] not in (1, batch) or plan.shape[1] != codebooks or plan.dtype != torch.int64:
        raise ValueError(
            f"the plan is {plan.dtype} {tuple(plan.shape)}; it should be int64 [{batch} or 1, {codebooks}, S]"
        )
    if num_steps is not None:
        raise ValueError("both num_steps and a plan are given; the plan says how many steps there are")
    return plan.shape[2]


def _asked(grammar: Grammar, codebooks: int, pad: int) -> torch.Tensor:
    return torch.full((codebooks,), pad) if grammar.done else grammar.allowed()


def _leaned(leaning: Mapping[int, LeaningGrammar], logits: torch.Tensor, batch: int) -> torch.Tensor:
    """The logits [R * B, K, V] as the rows' grammars would have them."""
    leaned = logits.clone()
    for row, grammar in leaning.items():
        if not grammar.done:
            grammar.lean(leaned[row::batch])
    return leaned


def _places(grammars: Sequence[Grammar]) -> list[Place | None]:
    """Where each row's marked token stands, before it is drawn."""
    return [
        grammar.place() if isinstance(grammar, PlacedGrammar) and not grammar.done else None for grammar in grammars
    ]


def _known(
    plan: torch.Tensor | None,
    step: int,
    asked: Sequence[torch.Tensor],
    batch: int,
    codebooks: int,
    device: torch.device,
) -> torch.Tensor:
    """int64 [B, K]: the tokens that are known before anything is drawn, `OPEN` elsewhere."""
    known = torch.full((batch, codebooks), OPEN) if plan is None else plan[:, :, step].repeat(batch // len(plan), 1)
    for row, tokens in enumerate(asked):
        if tokens.dtype == torch.int64:
            if tokens.shape != (codebooks,):
                raise ValueError(f"a grammar gives tokens {tuple(tokens.shape)}; they should be ({codebooks},)")
            known[row] = tokens
    return known.to(device)


def _drawn_in_order(
    sampler: Sampler, logits: torch.Tensor, step: int, known: torch.Tensor, grammars: Sequence[OrderedGrammar]
) -> torch.Tensor:
    """int64 [B, K] on the host: what is known [B, K], and what is drawn, a codebook after another."""
    tokens = known.clone()
    for book in grammars[0].order:
        rows = [row for row in range(len(tokens)) if known[row, book] == OPEN]
        if not rows:
            continue
        allowed = torch.ones(len(tokens), 1, logits.shape[-1], dtype=torch.bool)
        for row in rows:
            allowed[row, 0] = grammars[row].choices(book)
        places = _places(grammars) if sampler.marks(book) else [None] * len(grammars)
        drawn = sampler.draw(logits, step, allowed.to(logits.device), book, places)[:, 0].tolist()
        for row in rows:
            tokens[row, book] = drawn[row]
            grammars[row].take(book, drawn[row])
    return tokens


def _allowed(
    asked: Sequence[torch.Tensor], layout: Layout | None, step: int, logits: torch.Tensor
) -> torch.Tensor | None:
    """bool [B or 1, K, V], or None where all may be drawn; a row whose tokens are known is not restricted."""
    _, codebooks, vocabulary = logits.shape
    allowed = None if layout is None else layout.allowed(step, vocabulary)
    allowed = None if allowed is None else allowed.to(logits.device)[None]
    if not any(mask.dtype == torch.bool for mask in asked):
        return allowed
    for mask in asked:
        if mask.dtype == torch.bool and mask.shape != (codebooks, vocabulary):
            raise ValueError(f"a grammar gives a mask {tuple(mask.shape)}; it should be ({codebooks}, {vocabulary})")
    free = torch.ones(codebooks, vocabulary, dtype=torch.bool)
    masks = torch.stack([mask if mask.dtype == torch.bool else free for mask in asked]).to(logits.device)
    return masks if allowed is None else masks & allowed
