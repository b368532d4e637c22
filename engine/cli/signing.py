"""The options of every command that writes sounds or pictures: whether and as whom the files are signed.

Knows typer and signatures of functions. What signing is, is `provenance`'s.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

Identity = Annotated[
    Path | None, typer.Option(help="Sign as another: a PEM file with a private key and its certificates.")
]
Private = Annotated[
    bool, typer.Option("--private", help="Leave what you wrote (prompts, lyrics, names of files) out of the files.")
]
NoCredentials = Annotated[bool, typer.Option("--no-credentials", help="Do not sign the files.")]
SideFile = Annotated[
    bool, typer.Option("--side-file", help="Formats that carry no credentials (.ogg, .mid): sign beside, in FILE.c2pa.")
]
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "identity": (Identity, None), "private": (Private, False), "side_file": (SideFile, False),
    "no_credentials": (NoCredentials, False),
}  # fmt: skip


@contextmanager
def _said_as_a_note() -> Iterator[None]:
    """Have the warning that files are not signed look like the command's other notes."""
    from clavilux.provenance.stamp import Unsigned

    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, Unsigned):
                typer.echo(f"note: {message}", err=True)
            else:
                usual(message, category, *place, **more)

        warnings.showwarning = show
        yield


def signs(command: Callable[..., None]) -> Callable[..., None]:
    """The command with these options; what it writes is signed as they say."""

    @functools.wraps(command)
    def signing_command(*args: Any, **given: Any) -> None:
        from clavilux.provenance.signing import signing

        identity, private, side_files, unsigned = (given.pop(name) for name in _OPTIONS)
        if unsigned and side_files:
            raise ValueError("--side-file signs, and --no-credentials does not; leave one of the two out")
        credentials = False if unsigned else None
        with _said_as_a_note(), signing(
            credentials=credentials, identity=identity, private=private, side_files=side_files
        ):  # fmt: skip
            command(*args, **given)

    own = inspect.signature(command, eval_str=True)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in _OPTIONS.items()
    ]
    signing_command.__signature__ = own.replace(parameters=[*own.parameters.values(), *added])  # type: ignore[attr-defined]
    signing_command.__annotations__ = {
        name: parameter.annotation for name, parameter in own.parameters.items()
    } | {name: annotation for name, (annotation, _) in _OPTIONS.items()}  # fmt: skip
    return signing_command
