"""The explaining sections of a song lesson: form, key, chords, cadences, rhythm and instruments.

Knows what was read of a song, drawings and sound examples. Does not know exercises or how the song was made.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clavilux.audio.clip import Audio
from clavilux.audio.harmony import Chord, Key
from clavilux.audio.melodies import top_line
from clavilux.audio.score import Score, bar_quarters
from clavilux.audio.theory.cadences import Cadence
from clavilux.audio.theory.functions import DOMINANT, ROLES
from clavilux.audio.theory.harmony_reading import Span
from clavilux.teaching import drawings, examples
from clavilux.teaching import song_words as words
from clavilux.teaching.lesson import Block, Drawing, Row, Section, Sound, Table, Text
from clavilux.teaching.song_facts import RECORDING, SongFacts
from clavilux.teaching.song_playing import players, rhythm

HEARD_S = 45.0  # of the song itself
MOST_BARS_SHOWN = 32
_MOST_CADENCES = 4


def song_sections(facts: SongFacts, about: str = "") -> list[Section]:
    """All of them, in the order of the page; `about` is the prompt or the file's name."""
    return [
        _song(facts, about),
        _form(facts),
        _key(facts),
        _chords(facts),
        _dominant(facts),
        _cadences(facts),
        rhythm(facts, about),
        players(facts),
    ]


def _song(facts: SongFacts, about: str) -> Section:
    score, key = facts.score, facts.reading.key
    heard = min(facts.score.duration_s, HEARD_S)
    clip = facts.clip.slice(0, min(facts.clip.duration_s, HEARD_S)) if facts.clip else None
    if clip is None:
        until = float(score.quarters_at(heard))
        clip = examples.clip_of(score.slice(0, until) if until < score.length - 1e-6 else score)
    cut = f" (its first {HEARD_S:.0f} seconds)" if facts.score.duration_s > HEARD_S + 1 else ""
    rows = [
        ("key", f"{key}"),
        ("metre", "{}/{}".format(*facts.metre)),
        ("tempo", f"{facts.tempo:g} quarters a minute"),
        ("length", f"{len(facts.reading.bars)} bars, {facts.score.duration_s:.0f} seconds"),
    ]
    if facts.source != RECORDING:
        rows.append(("played by", words.listed([each.name for each in facts.players][:8])))
    blocks: list[Block] = [
        Sound("song", f"Listen once before you read on{cut}.", clip),
        Table(("", "found"), tuple(rows)),
    ]
    if facts.source == RECORDING:
        blocks.append(
            Text(
                "This is a recording, and a lesson hears one voice in it: the melody that is strongest. Its notes were "
                "written down by ear, so a wrong one may be among them; chords are those that would fit it."
            )
        )
        blocks.append(Sound("heard", "What was heard, played back on a piano.", examples.clip_of(_shortened(facts))))
    elif facts.implied:
        blocks.append(Text("Only a melody is written, so the chords below are those that would fit it."))
    blocks.append(_picture_of(facts))
    return Section("The song", tuple(blocks))


def _shortened(facts: SongFacts) -> Score:
    return facts.score.slice(0, min(facts.score.length, float(facts.score.quarters_at(HEARD_S / 2))))


def _picture_of(facts: SongFacts) -> Block:
    count = min(16, len(facts.reading.bars))
    part = facts.bars(1, count)
    notes = part.notes[~part.notes["drum"]]
    top = set(top_line(notes)[["start", "pitch"]].tolist())
    marked = np.array([pair in top for pair in notes[["start", "pitch"]].tolist()], dtype=bool)
    svg = drawings.notes_over_bars(notes, part.bar_starts(), part.length, marked)
    return Drawing(
        "notes", svg, f"The first {count} bars as notes: time to the right, pitch up, the melody in red.", wide=True
    )


def _form(facts: SongFacts) -> Section:
    sections = facts.sections
    names = [name.rstrip("'’ ") for name, _, _ in sections]
    different = list(dict.fromkeys(names))
    blocks: list[Block] = []
    if len(sections) == 1:
        blocks.append(
            Text(
                f"Nothing of four bars or more comes back in these {len(facts.reading.bars)} bars: the piece is one "
                "thread, told once."
            )
        )
    else:
        returning = [name for name in different if names.count(name) > 1]
        said = " ".join(name for name, _, _ in sections)
        blocks.append(
            Text(
                f"Form is what comes back and what is new. Here it is *{said}*: "
                + (
                    f"{words.listed(returning)} {'returns' if len(returning) == 1 else 'return'}, and a listener who "
                    "hears it again knows the way."
                    if returning
                    else "each part is new."
                )
            )
        )
    svg = drawings.form_strip(sections)
    blocks.append(Drawing("form", svg, "The parts; the numbers are the bars in which they begin."))
    heard = []
    for name in different[:3]:
        first, count = next((f, c) for (_, f, c), each in zip(sections, names, strict=True) if each == name)
        heard.append(
            Sound(f"part {name}", f"How {name} begins (bar {first}).", _bars_clip(facts, first, min(count, 4)))
        )
    if len(heard) > 1:
        blocks.append(Row(tuple(heard)))
    return Section("Form: what comes back", tuple(blocks))


def _bars_clip(facts: SongFacts, first: int, count: int) -> Audio:
    """So many bars, fewer where they would last too long."""
    length_s = float(bar_quarters(facts.metre)) * 60 / facts.tempo
    count = max(1, min(count, int(examples.LONGEST_S / max(length_s, 1e-3))))
    return examples.clip_of(facts.bars(first, first + count - 1))


def _key(facts: SongFacts) -> Section:
    key = facts.reading.key
    other = key.parallel
    scale = examples.scale_played(key)
    steps = sorted(set(scale.notes["pitch"][:8].tolist()))
    marks = {pitch: drawings.pitch_name(pitch, key) for pitch in steps}
    tonic = drawings.pitch_name(60 + key.tonic, key)
    mode = "bright" if key.mode == "major" else "dark"
    blocks: list[Block] = [
        Text(
            f"The piece is in {key}: {tonic} is its *tonic*, the note on which it feels at home, and the scale on "
            f"{tonic} gives it its notes. The third step of the scale makes it {key.mode}, which most people hear as "
            f"the {mode} one of the two."
        ),
        Drawing("scale", drawings.keyboard(marks, min(steps) - 2, max(steps) + 2, f"The scale of {key} on a keyboard")),
        Row(
            (
                Sound("scale", f"The scale of {key}, then its home chord.", examples.clip_of(scale)),
                Sound("other scale", f"The same steps in {other}.", examples.clip_of(examples.scale_played(other))),
            )
        ),
    ]
    changed = examples.in_other_mode(facts.bars(1, min(4, len(facts.reading.bars))), key)
    blocks.append(
        Row(
            (
                Sound("as written", "The first bars as they are.", _bars_clip(facts, 1, 4)),
                Sound(
                    f"in {other.mode}",
                    f"The same bars in {other.mode}: only the third, sixth and seventh of "
                    "the scale are moved, by a half step.",
                    examples.clip_of(examples.cut(changed)),
                ),
            )
        )
    )
    return Section(f"The key: {key}", tuple(blocks))


def _chords(facts: SongFacts) -> Section:
    spans, key = facts.reading.spans, facts.reading.key
    bars = facts.reading.bars[:MOST_BARS_SHOWN]
    end = facts.score.length if len(bars) == len(facts.reading.bars) else float(facts.reading.bars[len(bars)])
    signs = {each.bar: words.CADENCE_SIGNS[each.kind] for each in facts.cadences}
    shown = [span for span in spans if span.start < end - 1e-6]
    svg = drawings.chord_lines(shown, bars, end, key, signs)
    legend = Row(tuple(_legend(role) for role in ROLES if any(s.function.role == role for s in spans)))
    cut = f" These are the first {len(bars)} bars." if len(bars) < len(facts.reading.bars) else ""
    if facts.reading.voices < 1.15:
        cut += " They are not played: a chord that fits the melody is written over it."
    blocks: list[Block] = [
        Text(
            "A *roman numeral* says on which step of the scale a chord stands: V is the one on the fifth step. Capital "
            "letters are major, small ones minor. What counts more is what a chord *does*, and there are three things "
            "it can do: be at home, set out, and pull back."
        ),
        legend,
        Drawing("chords", svg, f"The chords bar by bar, in the colors above.{cut}", wide=True),
        Table(("chord", "numeral", "what it does", "heard"), tuple(_chord_rows(spans, key))),
    ]
    return Section("The chords, and what they do", tuple(blocks))


def _legend(role: str) -> Drawing:
    parts = (
        f'<rect width="300" height="30" rx="5" fill="{drawings.ROLE_COLORS[role]}"/>',
        f'<text x="150" y="20" font-size="15" text-anchor="middle" fill="#fff" font-weight="bold">{role}</text>',
    )
    return Drawing(f"function {role}", drawings.svg(300, 30, parts, role), words.ROLES[role])


def _chord_rows(spans: tuple[Span, ...], key: Key) -> list[tuple[str, str, str, str]]:
    counts: dict[tuple[str, str], list[Span]] = {}
    for span in spans:
        counts.setdefault((span.function.numeral, span.chord.name(key)), []).append(span)
    rows = sorted(counts.items(), key=lambda item: -len(item[1]))[:12]
    return [
        (
            name,
            numeral,
            words.role_words(here[0].function.role, here[0].function.target, here[0].function.borrowed),
            f"{words.times(len(here))}, first in bar {here[0].bar}",
        )
        for (numeral, name), here in rows
    ]


def _dominant(facts: SongFacts) -> Section:
    key = facts.reading.key
    five = Chord((key.tonic + 7) % 12, "7")
    home = key.home
    four = Chord((key.tonic + 5) % 12, home.quality)
    blocks: list[Block] = [
        Text(
            f"{five.name(key)} is the dominant of {key}. In it is {drawings.pitch_name(59 + key.tonic, key)}, a half "
            "step under the tonic, which leans upwards, and a seventh, which leans downwards. Stop on it, and everyone "
            "in the room waits."
        ),
        Row(
            (
                Sound(
                    "dominant alone",
                    f"This is the dominant, {five.name(key)}. It stops there.",
                    examples.clip_of(examples.chords_played([home, four, five])),
                ),
                Sound(
                    "dominant resolved",
                    f"The same, and now it resolves to {home.name(key)}.",
                    examples.clip_of(examples.chords_played([home, four, five, home])),
                ),
                Sound(
                    "without the seventh",
                    "The same without the seventh: it still leads home, with less of a pull.",
                    examples.clip_of(examples.chords_played([home, four, Chord(five.root, "maj"), home])),
                ),
            )
        ),
    ]
    found = next(
        (
            (a, b)
            for a, b in zip(facts.reading.spans, facts.reading.spans[1:], strict=False)
            if a.chord.root == five.root
            and a.function.role == DOMINANT
            and b.chord.root == home.root
            and not facts.implied
        ),
        None,
    )
    if found is not None:
        before, after = found
        end = min(after.end, after.start + bar_quarters(facts.metre))
        part = examples.cut(facts.score.slice(max(0.0, before.start), end))
        stop = examples.cut(facts.score.slice(max(0.0, before.start), before.end))
        where = f"bar {before.bar}"
        blocks += [
            Text(f"Here it comes first in {where}: {before.function.numeral} goes to {after.function.numeral}."),
            Row(
                (
                    Sound(
                        "its dominant",
                        f"The piece's own dominant in {where}, cut off before it resolves.",
                        examples.clip_of(stop),
                    ),
                    Sound("its resolution", "The same, with what follows.", examples.clip_of(part)),
                )
            ),
        ]
    blocks += _sevenths(facts)
    return Section("The dominant: hear it resolve", tuple(blocks))


def _sevenths(facts: SongFacts) -> list[Block]:
    """The bars with most sevenths, with and without them."""
    marked = examples.seventh_notes(facts.score)
    if not marked.any() or facts.implied:
        return []
    starts = facts.score.notes["start"][marked]
    bar = int(np.bincount([facts.reading.bar_of(float(at)) for at in starts]).argmax())
    last = min(bar + 1, len(facts.reading.bars))
    part = facts.bars(bar, last)
    chosen = examples.seventh_notes(part)
    if not chosen.any():
        return []
    name = f"bar {bar}" if bar == last else f"bars {bar} and {last}"
    count = int(chosen.sum())
    return [
        Text(f"A seventh is the fourth note of a chord, the one that rubs. In {name}: {count}."),
        Row(
            (
                Sound("with sevenths", f"{name.capitalize()} as written.", examples.clip_of(examples.cut(part))),
                Sound(
                    "sevenths left out",
                    "The same without the sevenths.",
                    examples.clip_of(examples.cut(examples.without(part, chosen))),
                ),
            )
        ),
    ]


def _cadences(facts: SongFacts) -> Section:
    found = facts.cadences
    if not found:
        text = "No phrase of this piece closes on one of the usual cadences: the music goes on, or stops, without one."
        return Section("Cadences: how phrases close", (Text(text),))
    kinds = list(dict.fromkeys(each.kind for each in found))
    blocks: list[Block] = [
        Text(
            "A cadence is the punctuation of music: the two chords with which a phrase closes. "
            + " ".join(f"*{kind.capitalize()}*: {words.CADENCES[kind]}." for kind in kinds)
        ),
        Table(
            ("bar", "cadence", "chords", "in"),
            tuple((str(c.bar), c.kind, f"{c.numerals[0]} to {c.numerals[1]}", str(c.key)) for c in found[:16]),
        ),
    ]
    heard = [next(each for each in found if each.kind == kind) for kind in kinds][:_MOST_CADENCES]
    blocks.append(Row(tuple(_cadence_sound(facts, each) for each in heard)))
    return Section("Cadences: how phrases close", tuple(blocks))


def _cadence_sound(facts: SongFacts, cadence: Cadence) -> Sound:
    bar = bar_quarters(facts.metre)
    begin = max(0.0, min(cadence.start, cadence.quarter - bar))
    part = facts.score.slice(begin, max(cadence.end, begin + 0.5))
    if facts.implied:
        part = replace(part, notes=np.concatenate([part.notes, _under(cadence, begin)]))
    return Sound(
        f"cadence in bar {cadence.bar}",
        f"Bar {cadence.bar}: {cadence.kind}, {cadence.numerals[0]} to {cadence.numerals[1]}"
        + (", with the chords that fit played under the melody." if facts.implied else "."),
        examples.clip_of(examples.cut(part)),
    )


def _under(cadence: Cadence, begin: float) -> np.ndarray:
    """The two chords of a cadence, to be heard under a melody."""
    first, last = examples.voiced(list(cadence.chords))
    start = max(cadence.start - begin, 0.0)
    rows = [(start, max(cadence.quarter - begin - start, 0.25), pitch) for pitch in dict.fromkeys(first)]
    rows += [(cadence.quarter - begin, cadence.end - cadence.quarter, pitch) for pitch in dict.fromkeys(last)]
    return examples.notes_of(rows, velocity=48)
