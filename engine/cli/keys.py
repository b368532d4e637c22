"""The `keys` commands: the identity that signs what is saved here.

Knows arguments; where keys are kept is `provenance`'s. A private key is never printed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clavilux.cli.help import Command
from clavilux.cli.options import AsJson

if TYPE_CHECKING:
    from clavilux.provenance.identity import Identity

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The keys that sign what you save.")


@app.command(cls=Command)
def show(as_json: AsJson = False) -> None:
    """Say which identity signs; it is made now if there is none yet."""
    from clavilux.provenance import keys

    _report(keys.own_identity(), {}, as_json)


@app.command(cls=Command)
def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to: a .pem file.")] = Path("clavilux.pem"),
    public: Annotated[bool, typer.Option("--public", help="The certificates alone, for others to trust.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the identity to a file, with its private key: for another machine of yours."""
    from clavilux.provenance import keys

    _report(keys.export(output, public=public), {"wrote": str(output)}, as_json)


@app.command("import", cls=Command)
def import_(
    file: Annotated[Path, typer.Argument(help="A PEM file with a private key and its certificates.")],
    as_json: AsJson = False,
) -> None:
    """Sign as the identity in a file from now on; the one before is still recognised."""
    from clavilux.provenance import keys

    _report(keys.take(file), {}, as_json)


@app.command(cls=Command)
def rotate(as_json: AsJson = False) -> None:
    """Make a new identity; files that the one before signed are still recognised as yours."""
    from clavilux.provenance import keys

    _report(keys.rotate(), {}, as_json)


def _report(found: Identity, more: dict[str, Any], as_json: bool) -> None:
    from clavilux.cli import display
    from clavilux.provenance import keys

    former = [each.id for each in keys.known()][1:]
    facts = {
        "id": found.id, "name": found.name, "organization": found.organization, "algorithm": found.algorithm,
        "valid_until": found.until, "kept_in": str(keys.keys_folder()), "former": former,
    }  # fmt: skip
    if as_json:
        display.print_json(facts | more)
    else:
        display.show_facts({name: value for name, value in (facts | more).items() if value not in ("", [])})
