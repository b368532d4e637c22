"""The report as one page of HTML that holds all it shows.

Knows what a reader should see first. Does not know how anything was found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clavilux import html_page as html
from clavilux.examining import figures
from clavilux.examining.works import ENOUGH
from clavilux.image import io
from clavilux.image.examination.measurements import GROUPS

if TYPE_CHECKING:
    from clavilux.examining.examination import Examination

__all__ = ["page_of"]

_SEEN, _SMALL = 900, 260  # pixels of the picture's longer side, and of a reference's
NO_VERDICT = (
    "Measurements compare a picture with the works that were given, and with nothing else. They do not say who made "
    "it, nor that it is authentic or forged."
)

_NONE = (
    "Looked for and not found: blur, JPEG, another resolution, a crop, the grain of a scan or photograph, a color cast."
)
_EXPLAINED = "This explains the difference. What is unlike besides cannot be told from this copy; examine a better one."


def page_of(found: Examination) -> str:
    """A whole document."""
    name = found.picture.origin.name if found.picture.origin is not None else "A picture"
    parts = [
        html.heading(f"{name}, examined", 1),
        html.paragraph(found.says, "lead"),
        html.paragraph(NO_VERDICT),
        _seen(found),
        *_confounds(found),
    ]
    if not found.explained:
        parts += [*_measured(found), *_nearest(found), *_folders(found)]
    return html.page(f"{name}, examined", "\n".join([*parts, *_how(found)]))


def _seen(found: Examination) -> str:
    pixels = found.picture.pixels.numpy()
    shown = [html.picture(figures.encoded(figures.thumbnail(pixels, _SEEN)), ".jpg", "The picture that was examined",
                          f"The picture, {found.picture.width} x {found.picture.height} pixels")]  # fmt: skip
    if not found.explained:
        heat = figures.encoded(figures.overlaid(pixels, found.unlike, _SEEN))
        words = "Red: places that are more unlike the references than most places of theirs are unlike each other"
        shown.append(html.picture(heat, ".jpg", "The picture in gray, red where it is unlike the references", words))
    return html.row(shown)


def _confounds(found: Examination) -> list[str]:
    parts = [html.heading("What may confound it")]
    if not found.confounds:
        return [*parts, html.paragraph(_NONE)]
    rows = [[each.name, f"{each.size:.3g} {each.unit}", each.sentence] for each in found.confounds]
    parts.append(html.table(["confound", "size", "what was found"], rows))
    if found.explained:
        parts.append(html.paragraph(_EXPLAINED))
    return parts


def _measured(found: Examination) -> list[str]:
    rows = [
        [
            GROUPS[name].title, f"{found.comparison.times[name]:.1f}", f"{found.comparison.shares[name]:.0%}",
            ", ".join(found.most_unlike(name)) if name != "layers" else "(channels have no names)",
            GROUPS[name].sentence, GROUPS[name].source,
        ]
        for name in sorted(found.comparison.times, key=lambda name: -found.comparison.times[name])
    ]  # fmt: skip
    parts = [html.heading("What was measured")]
    if found.enough:
        score = figures.plotted(lambda axes: figures.show_score(found, axes), 5, 2.0)
        parts.append(html.drawing(score, "How far each reference is from the others, and the picture from them"))
    shares = figures.plotted(lambda axes: figures.show_shares(found, axes), 5, 2.1)
    return [
        *parts,
        html.drawing(shares, "Each group of measurements: 1 is as the references are among themselves"),
        html.table(["", "times usual", "share", "furthest off, in deviations", "what it measures", "source"], rows),
    ]


def _nearest(found: Examination) -> list[str]:
    shown = []
    for each in found.nearest:
        small = figures.encoded(figures.framed(io.read(each.path).pixels, _SMALL))
        words = f"{each.path.name}: distance {each.distance:.2f}, most alike in {' and '.join(each.shares).lower()}"
        shown.append(html.picture(small, ".jpg", f"The reference {each.path.name}", words))
    usual = html.paragraph("A distance of 1 is usual between a reference and those nearest to it.")
    return [html.heading("The nearest references"), usual, html.row(shown, small=True)]


def _folders(found: Examination) -> list[str]:
    classes = found.classification
    if classes is None:
        return []
    order = figures.by_time(classes.names)
    names = [classes.names[number] for number in order]
    rows = [[name, f"{classes.likeness[name]:.0%}", _p(found.folder_p[name])] for name in names]
    counts = [[str(classes.confusion[row, column]) for column in order] for row in order]
    for place, row in enumerate(counts):
        row[place] = f"*{row[place]}*"  # its own
    confusion = [[name, *row] for name, row in zip(names, counts, strict=True)]
    apart = ", works of one subject left out together" if classes.subjects_separated else ""
    drawn = figures.plotted(lambda axes: figures.show_places(classes, axes), 5, 3.0)
    return [
        html.heading("Which of the folders it is like"),
        html.table(["folder", "likeness", "p"], rows),
        html.drawing(drawn, "Each dot is a work, each line a folder's middle, the diamond the picture"),
        html.paragraph(
            f"How far that can be trusted: of the works themselves, left out one at a time{apart}, {classes.right:.0%} "
            f"were taken for their own folder's; guessing would give {1 / len(names):.0%}. A row below is a folder's "
            "works, a column what they were taken for."
        ),
        html.table(["works of", *(f"taken for {name}" for name in names)], confusion),
    ]


def _how(found: Examination) -> list[str]:
    works = ", ".join(f"{len(each.works)} in {each.name}" for each in found.references)
    lines = [
        f"References: {works}. All were brought to an area of {found.side} x {found.side} pixels and measured alike.",
        "p is conformal: the share of pictures, references and this one, that are as unlike the others as it is. It is "
        f"said from {ENOUGH} references on. Where the picture is one more of the same kind, p is below .05 in one case "
        "of twenty.",
    ]
    if any(subject for subject in found.references[0].subjects):
        lines.append("Subfolders are subjects: works of one subject were not compared with each other.")
    lines += [f"{remark[:1].upper()}{remark[1:]}." for remark in found.remarks]
    return [html.heading("How it was done"), *map(html.paragraph, lines)]


def _p(value: float | None) -> str:
    return f"none (under {ENOUGH} works)" if value is None else f"{value:.3f}"
