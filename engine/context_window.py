"""What a decoder's context holds of a sequence that grows: one state, for the eager loop and for the captured step.

Knows tokens, windows and where reading goes on. Does not know how the next tokens are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder
from clavilux.layout import Layout
from clavilux.state import DecodeState, overwrite
from clavilux.timings import part
from clavilux.windows import Windows


class ContextWindow:
    """A sequence that a decoder reads, through windows where it outgrows the context.

    The state's tensors stay where they are when a window moves on, so that a captured step can read them.

    Attributes:
        state: what has been read, [R * B] rows: R blocks of the same tokens under conditions of their own (guidance).
    """

    def __init__(
        self,
        decoder: Decoder,
        batch: int,
        *,
        blocks: int = 1,
        conditioning: Conditioning | None = None,
        windows: Windows | None = None,
        layout: Layout | None = None,
        total: int | None = None,
        state: DecodeState | None = None,
        prefill: Callable[[torch.Tensor, DecodeState], torch.Tensor] | None = None,
    ) -> None:
        """Args: as for `clavilux.loop.generate_tokens`, and

            total: the most tokens that will be, where that is known.
            state: at its beginning, under what `first_window` says; None: one is made.
            prefill: reads several positions, as `Decoder.prefill`, which it is if None.

        Raises:
            ValueError: there is no room for a prefix or for windows, or an additive that does not reach the last token.
        """
        self._given = Conditioning() if conditioning is None else conditioning
        self.decoder, self._windows, self._layout, self._blocks = decoder, windows, layout, blocks
        self.room = room_of(decoder, conditioning, windows)
        self._prefill = decoder.prefill if prefill is None else prefill
        if state is None:
            held, capacity = first_window(decoder, conditioning, windows, total)
            if windows is not None:  # they are written over where a window moves on
                own: dict[str, Any] = {name: part.clone() for name, part in _added(held)}
                held = replace(held, **own)
            state = decoder.new_state(blocks * batch, held, capacity)
        self.state = state
        self._parts = [
            self._none(batch)
        ]  # of the sequence, [B, K, n] each; what has left the window stays, it is small
        self._count, self._dropped = 0, 0

    @property
    def end(self) -> int | None:
        """How many tokens the sequence can have before the window has to move on; None where it never does."""
        return None if self._windows is None else self._dropped + self._windows.context + 1

    def read(self, tokens: torch.Tensor) -> torch.Tensor:
        """Read the next tokens [B, K, n]; the logits [R * B, K, V] after the last.

        None at all (n is 0) is allowed at the beginning of a sequence with a prefix.

        Raises:
            ValueError: there is no room, and no windows.
        """
        latest, logits = self.read_to_step(tokens)
        return self.decoder.step(latest, self.state) if logits is None else logits

    def read_to_step(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As `read`, but a step is left to the caller: (its tokens [B, K], None), else (anything, the logits)."""
        kept, latest = self._take(tokens)
        begun = self.state.position >= max(1, self._given.num_prefix)
        if begun and not kept.shape[2] and latest.shape[2] == 1:
            return latest[:, :, 0], None
        with part("prefill", tokens.device):
            logits = self._prefill(torch.cat([kept, latest], 2).repeat(self._blocks, 1, 1), self.state)
        return latest[:, :, :0], logits

    def read_all(self, tokens: torch.Tensor) -> torch.Tensor:
        """Read the next tokens [B, K, n], n of 1 or more; the logits [R * B, K, n, V] after each of them.

        A window moves on where it would if they came one by one.

        Raises:
            ValueError: as `read`.
        """
        found = []
        while tokens.shape[2]:
            size = tokens.shape[2]
            if self._windows is not None:  # as far as this window reaches; where it is full, as far as the next one
                fits = self._dropped + self._windows.context - self._count
                size = min(size, fits or self._windows.stride)
            kept, latest = self._take(tokens[:, :, :size])
            tokens = tokens[:, :, size:]
            logits = self.decoder(torch.cat([kept, latest], 2).repeat(self._blocks, 1, 1), self.state)
            found.append(logits[:, :, logits.shape[2] - size :])
        return torch.cat(found, 2)

    def _take(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the next tokens, and move the window where it has to; what the state has still to read: of the first
        tokens that a window keeps, and of the others, [B, K, n] each.
        """
        self.add(tokens)
        keep, dropped = 0, 0
        if self._windows is not None:
            keep, dropped = self._windows.keep, self._windows.dropped(self._count)
        elif self._count > self.room:
            raise ValueError(
                f"{self._count} tokens are to be read; there is room for {self.room}, windows would allow more"
            )
        moves = dropped != self._dropped
        if moves:
            self._move(keep, dropped)
        first = self.state.num_tokens
        kept, latest = self._between(first, keep), self._between(max(first, keep) + dropped, self._count)
        if moves and latest.shape[2] and self._layout is not None:
            latest = self._layout.start_window(latest)
        return kept, latest

    def add(self, tokens: torch.Tensor) -> None:
        """Take tokens [B, K, n] that a step over the state has read, or will."""
        self._parts.append(tokens)
        self._count += tokens.shape[2]

    def _move(self, keep: int, dropped: int) -> None:
        """Go back to where a window that holds the kept tokens and those behind the dropped ones differs from this."""
        state, given = self.state, self._given
        assert self._windows is not None, "only windows move on"
        moved = given.window(keep, keep + dropped, dropped // self._windows.stride)
        # The prefix and the kept tokens stay as they were read, unless the prefix is another one now.
        first = min(state.position, given.num_prefix + keep)
        state.rewind(first if state.holds(first) and not given.window_prefixes else 0)
        for name, held in _added(state.conditioning):
            overwrite(held, getattr(moved, name))
        state.conditioning = replace(state.conditioning, prefix=moved.prefix)
        self._dropped = dropped

    def _between(self, start: int, end: int) -> torch.Tensor:
        """Tokens `start` to `end` of the sequence, [B, K, n]; the newest of them are looked up without joining all."""
        newest = self._parts[-1]
        if start >= self._count - newest.shape[2]:
            offset = self._count - newest.shape[2]
            return newest[:, :, start - offset : max(start, end) - offset]
        self._parts = [torch.cat(self._parts, 2)]
        return self._parts[0][:, :, start : max(start, end)]

    def _none(self, batch: int) -> torch.Tensor:
        device = self.decoder.embed.weight.device
        return torch.zeros(batch, self.decoder.spec.codebooks, 0, dtype=torch.int64, device=device)


class Readers:
    """The rows of a batch as they are read: all together, or each by itself where it is asked for.

    What is added waits until a row is asked for. A pass over several positions rounds otherwise than steps do; a row by
    itself is read in the parts in which it would be alone, whatever the others wait for, and so has the same bits.
    Steps of several rows are made together: a row that is forced costs no step, and later a pass of its own.
    """

    def __init__(
        self,
        decoder: Decoder,
        batch: int,
        *,
        apart: bool,
        blocks: int = 1,
        conditioning: Conditioning | None = None,
        windows: Windows | None = None,
        layout: Layout | None = None,
        total: int | None = None,
    ) -> None:
        """Args: as for `ContextWindow`; `apart`: each row by itself."""
        self._decoder, self._batch = decoder, batch
        self._groups = [[row] for row in range(batch)] if apart else [list(range(batch))]
        self._rows = [[block * batch + row for block in range(blocks) for row in group] for group in self._groups]
        given = Conditioning() if conditioning is None else conditioning
        self._windows = [
            ContextWindow(
                decoder, len(group), blocks=blocks, conditioning=given.take_rows(rows) if apart else given,
                windows=windows, layout=layout, total=total,
            )
            for group, rows in zip(self._groups, self._rows, strict=True)
        ]  # fmt: skip
        self._waiting: list[list[torch.Tensor]] = [[] for _ in self._groups]

    def add(self, tokens: torch.Tensor) -> None:
        """Take the next tokens [B, K, n] of all rows."""
        for group, waiting in zip(self._groups, self._waiting, strict=True):
            waiting.append(tokens[group] if len(self._groups) > 1 else tokens)

    def read(self, rows: Sequence[int]) -> torch.Tensor:
        """Read all that waits, of those rows at least; the logits [R * B, K, V] after it, zeros for rows not read."""
        asked = [index for index, group in enumerate(self._groups) if not set(rows).isdisjoint(group)]
        found: dict[int, torch.Tensor] = {}
        steps: dict[int, torch.Tensor] = {}
        for index in asked:
            tokens = torch.cat(self._waiting[index], 2)
            self._waiting[index] = [tokens[:, :, :0]]
            latest, logits = self._windows[index].read_to_step(tokens)
            if logits is None:
                steps[index] = latest
            else:
                found[index] = logits
        if len(steps) == 1:
            ((index, latest),) = steps.items()
            found[index] = self._decoder.step(latest, self._windows[index].state)
        elif steps:
            states = [self._windows[index].state for index in steps]
            logits = self._decoder.step_apart(torch.cat(list(steps.values())), states)
            found |= dict(zip(steps, logits.split([state.batch for state in states]), strict=True))
        if len(self._groups) == 1:
            return found[0]
        first = next(iter(found.values()))
        whole = first.new_zeros(self._batch * len(self._rows[0]), *first.shape[1:])
        for index, logits in found.items():
            whole[self._rows[index]] = logits
        return whole


def first_window(
    decoder: Decoder, conditioning: Conditioning | None, windows: Windows | None, total: int | None
) -> tuple[Conditioning, int]:
    """(the conditioning as a state has it: what is added at each position, as far as a window reaches; the positions
    that it makes room for). Arguments and errors as `ContextWindow`.
    """
    given = held = Conditioning() if conditioning is None else conditioning
    room = room_of(decoder, conditioning, windows)
    # A cache for the whole context would cost more than a short piece's steps: its memory is filled first.
    capacity = room if total is None else max(1, min(room, total))
    if given.additive is not None:
        if total is not None and given.additive.shape[1] < total - 1:
            raise ValueError(
                f"{total - 1} tokens are to be read; the conditioning's additive has {given.additive.shape[1]}, "
                "it should cover them"
            )
        held = replace(held, additive=given.additive[:, :capacity])
    if given.output_additive is not None:
        held = replace(held, output_additive=given.output_additive[:, : capacity + given.num_prefix])
    return held, capacity + given.num_prefix


def room_of(decoder: Decoder, conditioning: Conditioning | None, windows: Windows | None) -> int:
    """The tokens that a decoder reads at a time. Raises ValueError where a prefix or windows leave none."""
    num_prefix = 0 if conditioning is None else conditioning.num_prefix
    room = decoder.spec.max_positions - num_prefix
    if room < 1:
        raise ValueError(f"the prefix takes {num_prefix} positions; the decoder has only {decoder.spec.max_positions}")
    if windows is None:
        return room
    if windows.context > room:
        raise ValueError(
            f"windows of {windows.context} tokens are asked for; after the prefix the decoder has room for {room}"
        )
    return windows.context


def _added(given: Conditioning) -> list[tuple[str, torch.Tensor]]:
    """What a conditioning adds at each position, by name."""
    return [(name, part) for name in ("additive", "output_additive") if (part := getattr(given, name)) is not None]
