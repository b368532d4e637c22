"""The `examine` command: a picture measured against folders of works, as words, numbers and a page.

Knows arguments and files; what is found is `clavilux.examine`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clavilux.cli.options import AsJson, Quiet, check_apart, note_written
from clavilux.files import check_ending, check_readable, check_target

if TYPE_CHECKING:
    from clavilux.examining.examination import Examination


def examine(
    ctx: typer.Context,
    picture: Annotated[Path, typer.Argument(help="A picture: png, jpg, webp, gif, bmp, tiff or ppm.")],
    reference: Annotated[
        list[Path],
        typer.Option(help="A folder of works to compare with, best 40 or more; repeat it for other hands or periods."),
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also a report: .html, .png or .json.")] = None,
    keep: Annotated[
        bool, typer.Option("--keep/--no-keep", help="Keep measurements of pictures for the next time.")
    ] = True,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compare a picture with works of one hand, school or period: measurements, and no verdict on who made it."""
    check_readable(picture, "picture")
    if output is not None:
        from clavilux.examining.examination import ENDINGS

        check_ending(output, ENDINGS)
        check_target(output)
        check_apart([output], [picture])

    from clavilux.cli import display
    from clavilux.examining.verb import examine as verb

    with display.share_bar(hidden=quiet or as_json) as progress:
        found = verb(picture, reference, keep=keep, progress=progress)
    if output is not None:
        found.save(output)
        note_written(ctx, output)
    if as_json:
        display.print_json(found.as_dict())
    elif not quiet:
        display.show_facts(_facts(found) | ({} if output is None else {"report": str(output)}))


def _facts(found: Examination) -> dict[str, Any]:
    facts: dict[str, Any] = {"verdict": found.verdict, "this means": found.says}
    for each in found.confounds:
        facts[each.name] = each.sentence
    if not found.explained:
        times = sorted(found.comparison.times.items(), key=lambda pair: -pair[1])
        facts["times as unlike as usual"] = ", ".join(f"{name} {value:.1f}" for name, value in times)
        facts["nearest"] = ", ".join(each.path.name for each in found.nearest)
        if found.classification is not None:
            shares = found.classification.likeness.items()
            facts["most like"] = ", ".join(f"{name} {value:.0%}" for name, value in sorted(shares, key=lambda x: -x[1]))
            facts["left out, taken for their own folder's"] = f"{found.classification.right:.0%} of the works"
    return facts | {"remarks": list(found.remarks)}
