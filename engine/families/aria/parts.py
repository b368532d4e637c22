"""Who plays what the composer writes: the parts of named instruments, their programs, and who plays in unison.

Knows ranges, hands, and for whom tunes are written. Does not know tokens (`grammar`) or styles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from clavilux.families.aria import bands
from clavilux.families.aria.instruments import HANDS, INSTRUMENTS, KEYBOARDS, RANGES
from clavilux.families.aria.leaning import Manner
from clavilux.families.aria.tunes import Tune
from clavilux.families.aria.voices import ACCOMPANIST, HYMN, KEYBOARD, Part

# Choirs of voices begin several notes at once, single voices one for each player.
_CHOIR_NOTES = 4
# A choir's hymns are written for the program that nearly all hymns have which the composer learned from.
_CHOIR, _HYMN_PROGRAM = 52, 0
_ONE_VOICE = (58, 81)  # pitches of a single one
# Pitches of a band's melody, and the semitones that it has at least; left alone it sinks among the chords.
_LEAD, _LEAD_SPAN = (60, 79), 19
_LEAD_SHEET_PROGRAM = 0  # that the melodies have from which the composer learned
_RIGHT_HAND, _RIGHT_SPAN = (67, 89), 12  # likewise of a dance's right hand, which breaks chords when it lies lower
# Pitches of a fiddle's tunes: of O'Neill's and Ryan's nine in ten lie there, in any key. A composer that writes in C
# cannot know: jigs lay on the lowest string, or high up on the highest.
_FIDDLE_TUNE = (60, 83)
# Semitones in which a tune has all the room that it needs, and what an octave's distance costs in semitones of room.
_ROOM, _APART = 24, 2
_MOST_OCTAVES = 3
# Bars that the melody's instrument is silent for among two or three; a singer may wait for the piano, as others do.
_MELODY_RESTS, _FEW = 2, 4


@dataclass(frozen=True)
class Cast:
    """Who plays.

    Attributes:
        parts: that the composer writes, the melody's first.
        programs: what each part is written as -> the General MIDI program that plays it.
        unison: (program, semitones above what is written) of all who play the first part's notes, its own program
            first; () where it plays them alone, as they are.
        by_name: instrument -> (what it is written as, the program that it sounds with).
        players: program -> how many play it, where several do, each one note at a time.
    """

    parts: tuple[Part, ...]
    programs: Mapping[int, int]
    unison: tuple[tuple[int, int], ...]
    by_name: Mapping[str, tuple[int, int]]
    players: Mapping[int, int]

    def writing(self, players: Sequence[str] | None) -> frozenset[int] | None:
        """What the parts of players are written as; None for everybody."""
        return None if players is None else frozenset(self.by_name[name][0] for name in players if name in self.by_name)

    def sounding(self, players: Sequence[str] | None) -> frozenset[int] | None:
        """The programs of players; None for everybody."""
        return None if players is None else frozenset(self.by_name[name][1] for name in players if name in self.by_name)

    def in_voices(self, hymn: bool, shift: int) -> Cast:
        """The cast with a hymn's voices for one who can begin as many notes at once, and the hands of keyboards; the
        composer's key is `shift` semitones higher.
        """
        part, alone = self.parts[0], len(self.parts) == 1
        if hymn and alone and part.most_notes >= HYMN.count:
            written = _HYMN_PROGRAM if part.program == _CHOIR else part.program
            return replace(
                self,
                parts=(replace(part, program=written, most_notes=HYMN.count, voicing=HYMN.moved(shift)),),
                programs={written: self.programs[part.program]},
                by_name={name: (written, sound) for name, (_, sound) in self.by_name.items()},
            )
        hands = KEYBOARD if alone else ACCOMPANIST
        parts = [replace(part, voicing=hands) if part.program in KEYBOARDS else part for part in self.parts]
        return replace(self, parts=tuple(parts))


def parts_of(names: Sequence[str], shift: int) -> tuple[list[Part], dict[int, int]]:
    """Who plays, in the composer's key, and which program plays what each is written as."""
    parts: list[Part] = []
    programs: dict[int, int] = {}
    for name in dict.fromkeys(names):
        instrument = INSTRUMENTS[name]
        written = instrument.written_as if instrument.written_as not in programs else instrument.program
        if written in programs:
            continue  # lute and guitar, voice and choir: one sound, one part
        low, high = RANGES[instrument.program]
        most = HANDS.get(instrument.program, names.count(name))
        most = _CHOIR_NOTES if name == "choir" else most
        low, high = _ONE_VOICE if name == "voice" and most == 1 else (low, high)
        most = 2 if len(set(names)) == 1 and instrument.program in (40, 41, 42, 110) and most == 1 else most
        programs[written] = instrument.program
        parts.append(Part(written, low + shift, high + shift, most))
    if len(parts) == 1 and parts[0].most_notes == 1:
        parts[0] = replace(parts[0], leads=True)
    elif len(parts) < _FEW and parts[0].is_line and names[0] != "voice":
        parts[0] = replace(parts[0], rests=_MELODY_RESTS)
    return parts, programs


def cast_of(
    instruments: Sequence[str],
    plan: bands.BandPlan | None,
    tune: Tune | None,
    shift: int,
    unison: Sequence[str] = (),
) -> Cast:
    """The cast of everybody, of a band's melody, or of a tune; `unison` are names who play the first one's part."""
    names = tuple(name for name in instruments if name not in unison[1:]) if plan is None else (plan.written,)
    accompanied = plan is not None and tune is not None and tune.has_chords
    if tune is not None and len(set(names)) == 1 and not accompanied:
        parts, programs = _tune_parts(tune, names[0], shift)
    elif plan is None:
        parts, programs = parts_of(names, shift)
    else:
        parts, programs = lead_of(plan, shift, accompanied)
    by_name: dict[str, tuple[int, int]] = {}
    for name in names:
        instrument = INSTRUMENTS[name]
        own = instrument.written_as if programs.get(instrument.written_as) == instrument.program else instrument.program
        written = parts[0].program if len(parts) == 1 else own if own in programs else instrument.written_as
        by_name[name] = written, programs[written]
    together: tuple[tuple[int, int], ...] = ()
    if len(unison) > 1:
        as_print = tune is not None and not tune.has_chords and len(parts) == 1
        parts[0], octaves = _in_unison(parts[0], unison, shift, _FIDDLE_TUNE if as_print else None)
        sounds = [programs[parts[0].program], *(INSTRUMENTS[name].program for name in unison[1:])]
        by_name |= {name: (parts[0].program, sound) for name, sound in zip(unison, sounds, strict=True)}
        apart = {program for written, program in programs.items() if written != parts[0].program}
        heard = {sound: 12 * octave for sound, octave in zip(sounds, octaves, strict=True) if sound not in apart}
        together = tuple(heard.items())
    most = {part.program: part.most_notes for part in parts if programs[part.program] not in HANDS}
    counts = {name: names.count(name) for name in names}
    players = {by_name[n][1]: count for n, count in counts.items() if 1 < count == most.get(by_name[n][0])}
    return Cast(tuple(parts), programs, together, by_name, players)


def _in_unison(part: Part, names: Sequence[str], shift: int, written: tuple[int, int] | None) -> tuple[Part, list[int]]:
    """(the part in a range that all can play, how many octaves above it each of `names` does).

    `written` is the range of who it is written for; that of the part itself if None. A tune has two octaves, where all
    together have them; an octave nearer counts for two semitones.
    """
    low, high = (part.low, part.high) if written is None else (written[0] + shift, written[1] + shift)
    octaves = []
    for name in names:
        own_low, own_high = (pitch + shift for pitch in RANGES[INSTRUMENTS[name].program])
        ranges = {
            octave: (max(low, own_low - 12 * octave), min(high, own_high - 12 * octave))
            for octave in sorted(range(-_MOST_OCTAVES, _MOST_OCTAVES + 1), key=abs)
        }
        best = max(ranges, key=lambda octave: min(_ROOM, ranges[octave][1] - ranges[octave][0]) - _APART * abs(octave))
        low, high = ranges[best]
        octaves.append(best)
    return replace(part, low=low, high=high, most_notes=1, leads=True), octaves


def _tune_parts(tune: Tune, name: str, shift: int) -> tuple[list[Part], dict[int, int]]:
    """As `parts_of` for a tune that one plays by himself, or that leads a session: written as all of its kind are.

    Who plays one note at a time keeps his own part where those of the kind are for a piano.
    """
    (part,), programs = parts_of((name,), shift)
    written = tune.program
    if tune.has_chords and INSTRUMENTS[name].program not in HANDS:
        return [part], programs
    lowest, highest = RANGES[written] if tune.has_chords else _FIDDLE_TUNE
    low, high = max(part.low, lowest + shift), min(part.high, highest + shift)
    if high - low >= _LEAD_SPAN:  # a tuba stays where it is
        part = replace(part, low=low, high=high)
    most = HANDS.get(written, 1)
    part = replace(part, program=written, most_notes=most, leads=most == 1, manner=tune.manner)
    return [part], {written: INSTRUMENTS[name].program}


def lead_of(plan: bands.BandPlan, shift: int, dances: bool = False) -> tuple[list[Part], dict[int, int]]:
    """As `parts_of` for a band's melody: a single voice, on the style's own instrument, above the band's chords.

    With `dances` it is the right hand of a dance, which is written as the one who plays it; others as lead sheets are.
    """
    part = parts_of((plan.written,), shift)[0][0]
    (lowest, highest), span = (_RIGHT_HAND, _RIGHT_SPAN) if dances else (_LEAD, _LEAD_SPAN)
    high = min(part.high, max(highest + shift, part.low + span))  # a piccolo begins high
    low = max(part.low, min(lowest + shift, high - span))
    written = part.program if dances else _LEAD_SHEET_PROGRAM
    manner: Manner = "hand" if dances else "song"
    part = replace(part, program=written, low=low, high=high, most_notes=1, leads=True, manner=manner)
    return [part], {written: plan.lead}
