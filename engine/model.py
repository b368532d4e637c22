"""What every loaded model is: its family's side, its device, and how a call's arguments become rows and sampling.

`music_model`, `image_model` and `families.jukebox.model` stand beside each other on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import torch

from clavilux.graph_cache import GRAPHS
from clavilux.mark_key import MarkChoice, in_receipt, key_of, said
from clavilux.marking import Mark
from clavilux.precision import device_named
from clavilux.requests import check_batch, check_taken, seeds_of
from clavilux.sampling import SamplingSpec, Schedule


class Model:
    """A loaded checkpoint. Made by `clavilux.load`."""

    OPTIONS: ClassVar[frozenset[str]] = frozenset()  # the keyword arguments of `generate`, but for the family's own

    def __init__(self, family: Any, read: Callable[[torch.device], Any] | None = None) -> None:
        """`read` reads the family again, for another device."""
        self.family, self._read = family, read

    def __repr__(self) -> str:
        identity = self.family.identity
        size = f"{self.num_parameters / 1e6:.1f} M parameters"
        return f"{type(self).__name__}({identity['model']!r}, {size}, {identity['dtype']})"

    @property
    def num_parameters(self) -> int:
        """Of its decoder."""
        return self.family.stage.decoder.num_parameters

    @property
    def device(self) -> torch.device:
        """Where its decoder computes."""
        device: torch.device = self.family.stage.decoder.embed.weight.device
        return device

    def to(self, device: str | torch.device) -> Self:
        """Put the model on another device.

        Its files are read again, as a CPU packs weights for its own steps and no GPU could read them: with the dtype
        that `clavilux.load` was given, so that "auto" is the new device's own.

        Args:
            device: as for `clavilux.load`; where the model is there already, nothing is read.

        Returns:
            The model itself.

        Raises:
            ValueError: a device that is not available, a dtype that it has no kernels for, or a model that
                `clavilux.load` has not made.
            CheckpointError: its files are gone, or damaged by now.
        """
        target = device_named(str(device))
        if torch.empty(0, device=target).device != self.device:
            if self._read is None:
                raise ValueError(f"this model was not loaded from files; make it anew on {target}")
            GRAPHS.let_go()  # what was captured is of no use elsewhere
            self.family = self._read(target)
        return self

    @property
    def accepts(self) -> dict[str, Any]:
        """The family's own controls and what each may be."""
        return dict(self.family.accepts)

    def _parse_request(
        self,
        prompt: str | Sequence[str],
        batch: int,
        seed: int | Sequence[int] | None,
        controls: Mapping[str, Any],
        named: Iterable[str] | None = None,
    ) -> tuple[bool, list[tuple[str, int]], dict[str, Any]]:
        """(whether a list was asked for, each row's prompt and seed, the family's own controls), checked.

        `named`: the call's own keyword arguments, which an error names with the family's; `OPTIONS` if None.
        """
        check_taken(
            self.family.identity["model"], controls, self.family.accepts, self.OPTIONS if named is None else named
        )
        check_batch(batch)
        as_list = isinstance(prompt, (list, tuple)) or batch > 1
        prompts: list[Any] = list(prompt) if isinstance(prompt, (list, tuple)) else [prompt] * batch
        if not prompts or not all(isinstance(p, str) for p in prompts):
            raise TypeError(f"prompt is {type(prompt).__name__}; it should be a string or a list of strings")
        taken = {name: controls[name] for name in self.family.accepts if controls.get(name) is not None}
        return as_list, list(zip(prompts, seeds_of(seed, len(prompts)), strict=True)), taken

    def _parse_single(
        self, prompt: str, seed: int, controls: Mapping[str, Any], named: Iterable[str]
    ) -> tuple[str, int, dict[str, Any]]:
        """(the text, the seed, the family's own controls) of tokens that are there already, checked."""
        if not isinstance(prompt, str):
            raise TypeError(f"prompt is {type(prompt).__name__}; it should be a string, for all rows of tokens")
        _, [(text, own)], taken = self._parse_request(prompt, 1, seed, controls, named)
        if "anything" in self.family.accepts:
            taken["anything"] = True  # nothing is made here
        return text, own, taken

    def _sampling_spec(
        self,
        receipts: Sequence[dict[str, Any]],
        *,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        guidance: float | Schedule | None = None,
        mark: MarkChoice = None,
        drawn: bool = True,
    ) -> SamplingSpec:
        """How to draw: what was asked for, else the family's usual settings; every receipt notes it.

        Args:
            receipts: one a row.
            temperature, top_k, top_p, guidance: None: the family's own.
            mark: as for `mark_key.key_of`; receipts note the key's id, or that none was wanted. No mark is drawn at a
                temperature of 0. On a GPU a marked step of more than 4,096 tokens is several times as slow.
            drawn: False: nothing will be drawn, so nothing is marked.
        """
        given = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "guidance": guidance}
        usual = self.family.sampling
        settings: dict[str, Any] = {
            name: getattr(usual, name) if value is None else value for name, value in given.items()
        }
        key, drawn = key_of(mark), drawn and settings["temperature"] != 0
        for receipt in receipts:
            receipt["settings"] = settings
            receipt |= in_receipt(said(key, drawn=drawn))
        made = Mark(key.word(self.family.marked.kind), self.family.marked) if drawn and key is not None else None
        return SamplingSpec(seed=tuple(receipt["seed"] for receipt in receipts), mark=made, **settings)
