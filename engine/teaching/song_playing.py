"""Sections of a song lesson on how it is played: rhythm and instruments.

Knows what was read of a song, drawings and sound examples. Does not know harmony (`song_parts`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clavilux.audio.score import bar_quarters
from clavilux.teaching import drawings, examples
from clavilux.teaching import song_words as words
from clavilux.teaching.lesson import Block, Drawing, Row, Section, Sound, Text
from clavilux.teaching.song_facts import RECORDING, USUAL_RANGES, SongFacts


def rhythm(facts: SongFacts, about: str) -> Section:
    """Beats, where notes begin, and what is usual in such a dance; `about` is the prompt or the file's name."""
    shares = facts.onset_shares()
    beats, bar = facts.beats, bar_quarters(facts.metre)
    numerator, denominator = facts.metre
    step = len(shares) // beats
    strongest = int(shares.argmax()) // step + 1
    off = float(np.delete(shares, np.arange(0, len(shares), step)).sum() / max(shares.sum(), 1e-9))
    label = f"How often notes begin at each place of a bar of {numerator}/{denominator}"
    kind = "groups of three" if denominator >= 8 and numerator % 3 == 0 and numerator > 3 else "beats"
    said = words.dance_words(about, facts.title)
    blocks: list[Block] = [
        Text(
            f"A bar of {numerator}/{denominator} has {beats} {kind}. The drawing shows where notes begin, all bars "
            f"together: most often on beat {strongest}; {off:.0%} of all notes begin between beats."
        ),
    ]
    if said:
        blocks.append(Text(said))
    blocks.append(Drawing("rhythm", drawings.bar_rhythm(shares, beats, label), label + "."))
    times = [(index * bar / beats + b * bar, index == 0) for b in range(2) for index in range(beats)]
    usual = _usual_bar(facts)
    own = [(at + b * bar, at < 1e-6) for b in range(2) for at in usual]
    blocks.append(
        Row(
            (
                Sound(
                    "beats",
                    "The beats of two bars alone; the first is accented. Tap along.",
                    examples.clip_of(examples.clicks(times, facts.tempo, facts.metre)),
                ),
                Sound(
                    "rhythm of a bar",
                    "The rhythm that the melody has most often, twice. Clap it.",
                    examples.clip_of(examples.clicks(own, facts.tempo, facts.metre)),
                ),
            )
        )
    )
    return Section("Rhythm", tuple(blocks))


def _usual_bar(facts: SongFacts) -> list[float]:
    """Where the melody's notes begin in its commonest bar with two notes or more, in quarters."""
    bars, line = facts.reading.bars, facts.reading.melody
    index = np.maximum(np.searchsorted(bars, line["start"] + 1e-3, side="right") - 1, 0)
    found: dict[tuple[float, ...], int] = {}
    for bar in range(len(bars)):
        inside = line["start"][index == bar] - bars[bar]
        pattern = tuple(np.round(inside * 12).astype(int) / 12)
        if len(pattern) > 1 and max(pattern) < bar_quarters(facts.metre):
            found[pattern] = found.get(pattern, 0) + 1
    best = max(found, key=lambda each: found[each]) if found else (0.0,)
    return [float(at) for at in best]


def players(facts: SongFacts) -> Section:
    """Instruments, their ranges here and at all, and each alone."""
    if facts.source == RECORDING:
        return _compass(facts)
    rows = [(p.name, p.low, p.high, USUAL_RANGES.get(p.program)) for p in facts.players if p.program >= 0][:8]
    blocks: list[Block] = []
    said = []
    for name, low, high, usual in rows:
        text = (
            f"the {name} plays from {drawings.pitch_name(low, octave=True)} to {drawings.pitch_name(high, octave=True)}"
        )
        if usual is not None and (low < usual[0] or high > usual[1]):
            text += ", beyond what players of it usually reach"
        said.append(text)
    blocks.append(Text(f"In this piece {words.listed(said)}."))
    blocks.append(
        Drawing(
            "ranges",
            drawings.ranges(rows),
            "Dark: what is played. Light: what the instrument can play. C4 is the middle C of a piano.",
        )
    )
    if len(facts.players) > 1:
        heard = []
        for player in facts.players[:4]:
            score = facts.bars(1, min(4, len(facts.reading.bars)))
            own = (
                score.notes["drum"]
                if player.program < 0
                else (~score.notes["drum"] & (score.notes["program"] == player.program))
            )
            if own.any():
                part = examples.cut(replace(score, notes=score.notes[own]))
                heard.append(
                    Sound(
                        f"{player.name} alone", f"The {player.name} alone, from the first bars.", examples.clip_of(part)
                    )
                )
        blocks.append(Row(tuple(heard)))
    return Section("Who plays, and how high", tuple(blocks))


def _compass(facts: SongFacts) -> Section:
    """How high the one voice goes that is heard in a recording."""
    pitches = facts.score.notes["pitch"]
    low, high = int(pitches.min()), int(pitches.max())
    ends = " to ".join(drawings.pitch_name(each, octave=True) for each in (low, high))
    said = f"The melody that was heard goes from {ends}. Which instrument or voice it is was not looked for."
    drawn = drawings.ranges([("what was heard", low, high, None)])
    return Section("How high it goes", (Text(said), Drawing("ranges", drawn, "C4 is the middle C of a piano.")))
