"""What every loaded model is: its family's side, and how a call's rows and its sampling are read from its arguments.

`music_model`, `image_model` and `families.jukebox.model` stand beside each other on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from clavilux.requests import check_batch, check_taken, seeds_of
from clavilux.sampling import SamplingSpec, Schedule


class Model:
    """A loaded checkpoint. Made by `clavilux.load`."""

    OPTIONS: ClassVar[frozenset[str]] = frozenset()  # the keyword arguments of `generate`, but for the family's own

    def __init__(self, family: Any) -> None:
        self.family = family

    def __repr__(self) -> str:
        identity = self.family.identity
        size = f"{self.num_parameters / 1e6:.1f} M parameters"
        return f"{type(self).__name__}({identity['model']!r}, {size}, {identity['dtype']})"

    @property
    def num_parameters(self) -> int:
        """Of its decoder."""
        return self.family.stage.decoder.num_parameters

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

    def _sampling_spec(
        self,
        receipts: Sequence[dict[str, Any]],
        *,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        guidance: float | Schedule | None = None,
    ) -> SamplingSpec:
        """How to draw: what was asked for, else the family's usual settings; every receipt notes it."""
        given = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "guidance": guidance}
        usual = self.family.sampling
        settings: dict[str, Any] = {
            name: getattr(usual, name) if value is None else value for name, value in given.items()
        }
        for receipt in receipts:
            receipt["settings"] = settings
        return SamplingSpec(seed=tuple(receipt["seed"] for receipt in receipts), **settings)
