"""The `verify` command: where a file comes from, for one file or a table of a folder.

Knows arguments; what is found is `clavilux.verify`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clavilux.cli.options import AsJson

if TYPE_CHECKING:
    from clavilux.provenance.verdict import Verdict


_MADE = {"trainedAlgorithmicMedia": "by a model", "compositeWithTrainedAlgorithmicMedia": "by a model, from a file"}


def verify(
    path: Annotated[Path, typer.Argument(help="A sound, a picture, a score; or a folder of them.")],
    trust: Annotated[Path | None, typer.Option(help="A PEM file with certificates to trust besides your own.")] = None,
    mark_key: Annotated[Path | None, typer.Option(help="Also look for the mark of the key in this file.")] = None,
    model: Annotated[
        str | None, typer.Option(help="The checkpoint whose codec reads pictures or sounds. [default: lumia]")
    ] = None,
    nearest: Annotated[
        bool,
        typer.Option("--nearest", help="Also name the work that aria or lumia was taught which is nearest to it."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say where a file comes from: whether its credentials are valid, whose they are, what they claim."""
    from clavilux.cli import display
    from clavilux.verifying import verify as verb

    if path.is_dir():
        _verify_folder(path, as_json, trust=trust, mark_key=mark_key, model=model, nearest=nearest)
        return
    found = verb(path, trust=trust, mark_key=mark_key, model=model, nearest=nearest)
    display.print_json(found.as_dict()) if as_json else display.show_facts(_facts(found))


def _verify_folder(folder: Path, as_json: bool, **how: Any) -> None:
    from clavilux.cli import display
    from clavilux.verifying import media_in
    from clavilux.verifying import verify as verb

    rows: list[dict[str, Any]] = []
    for path in media_in(folder):
        try:
            rows.append(verb(path, **how).as_dict())
        except ValueError as error:  # an empty file among others
            rows.append({"file": str(path), "error": str(error)})
    if not rows:
        raise ValueError(f"{str(folder)!r} holds no sounds, pictures or scores")
    if as_json:
        display.print_json({"folder": str(folder), "files": rows})
    else:
        display.show_rows(
            ["file", "credentials", "signed by", "made", "mark", *(["nearest"] if how["nearest"] else [])],
            [[str(Path(row["file"]).relative_to(folder)), *_cells(row, how["nearest"])] for row in rows],
        )


def _cells(row: dict[str, Any], with_nearest: bool) -> list[str]:
    near = [_nearest_of(row.get("nearest"))] if with_nearest else []
    if "error" in row:
        return ["cannot be read", "", "", "", *near]
    found = row["credentials"]
    signer = "you" if found["trusted"] == "own" else _signer(found)
    return [found["state"], signer, _MADE.get(found["made"], found["made"]), _marks_of(row["marks"]), *near]


def _nearest_of(near: dict[str, Any] | None) -> str:
    return f"{near['name']}, {near['distance']:.2g}" if near and near["name"] else ""


def _marks_of(marks: list[dict[str, Any]]) -> str:
    """The surest of the marks that were found, else whether there was enough to look at."""
    found = sorted((mark["p"], mark["key"]) for mark in marks if mark["found"])
    if found:
        return f"{found[0][1]}, p = {found[0][0]:.1g}"
    if not marks:
        return ""
    return "not found" if any(mark["enough"] for mark in marks) else "not enough evidence"


def _signer(found: dict[str, Any]) -> str:
    if not found["signer"]:
        return ""
    whose = {"own": "yours", "given": "trusted", "": "not known"}[found["trusted"]]
    return f"{found['signer'].get('name', '?')} ({whose})"


def _facts(found: Verdict) -> dict[str, Any]:
    said, credentials = found.as_dict(), found.credentials
    facts: dict[str, Any] = {"credentials": credentials.state}
    if credentials.signer:
        facts |= {"signed by": _signer(said["credentials"])}
    if credentials.made:
        facts |= {"made": credentials.made}
    for each in credentials.ingredients:
        facts.setdefault("from", []).append(f"{each.get('use')}: {each.get('name') or each.get('sha256', '')[:16]}")
    if "from" in facts:
        facts["from"] = ", ".join(facts["from"])
    if credentials.problems:
        facts |= {"problems": ", ".join(credentials.problems)}
    for mark in found.marks:
        name = f"mark {mark.key}"  # a sound may have one in its cells and one in a codec's tokens
        facts[f"{name}, {mark.of}" if name in facts else name] = f"p = {mark.p:.2g} from {mark.tokens:,} {mark.of}"
    if said["nearest"] and said["nearest"]["name"]:
        facts["nearest"] = "{name} ({source}, {licence}), distance {distance:.3g}".format(**said["nearest"])
    return facts | {"this means": found.says, "remarks": found.remarks}
