"""The composer's controls: what may be asked, and what is chosen where nothing was asked.

Knows ranges, and draws from a style's habits. Does not know how words are read (`prompt`) or what a control
does to the tokens (`grammar`, `conditions`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from clavilux.audio.arranging.arranger import DRUM_SETS
from clavilux.audio.arranging.library import band_names
from clavilux.audio.chart import read_chart
from clavilux.audio.harmony import Chord, Key
from clavilux.checks import check_number
from clavilux.families.aria.bands import check_style, habits_of
from clavilux.families.aria.densities import usual_densities
from clavilux.families.aria.form_names import FORMS, FREE, MOST_BARS, MOST_OF_ENDS
from clavilux.families.aria.instruments import HANDS, INSTRUMENTS, NO_DRUMS, instruments_named, unknown
from clavilux.families.aria.lexicon import PACES
from clavilux.families.aria.literals import TEMPO_RANGE, no_metre
from clavilux.families.aria.seeded import draw, weighted
from clavilux.families.aria.styles import METRES, STYLES, Metre, Style
from clavilux.families.aria.tunes import TUNES, Tune

if TYPE_CHECKING:
    from clavilux.families.aria.prompt import ParsedPrompt

T = TypeVar("T")
Bars = tuple[tuple[Chord, ...], ...]  # the chords of each bar of a chart
SLOWEST, FASTEST = TEMPO_RANGE
DENSITIES = ("sparse", "medium", "dense")
SECTIONS = ("whole", "opening", "middle", "closing")

ACCEPTS: dict[str, Any] = {
    "style": [*STYLES, *band_names()],
    "instruments": list(INSTRUMENTS),
    "key": "a tonic and a mode, such as 'G minor' or 'F# major'",
    "tempo": f"{SLOWEST:g} to {FASTEST:g} quarter notes a minute",
    "metre": [f"{a}/{b}" for a, b in METRES],
    "chords": "a chord a bar, 'Gm Cm D7 Gm', or bars between lines, 'Gm Cm | D7/F# | N.C.'",
    "density": list(DENSITIES),
    "section": list(SECTIONS),
    "drums": list(DRUM_SETS),
    "swing": "0.5 (even) to 0.75 for a band: where the second of two eighths falls",
    "form": f"letters, AABB or AA'BA; {', '.join(FORMS)}; or sections with their bars, 'verse 8, chorus 8'; {FREE} for "
    "none, else the one that the kind of music has",
    "bars": f"1 to {MOST_BARS}, intro and outro among them",
    "intro": f"bars before the form, 0 to {MOST_OF_ENDS}",
    "outro": f"bars after the form, 0 to {MOST_OF_ENDS}",
    "ritardando": "yes, to slow down in the last bars",
    "sheet": "a text file with a song's sections, bars and chords",
    "melody": "a file of notes or of sound, or an Audio, whose tune a band plays",
    "vary": "0 to 1: the share of the bars of `continue_from` that is written anew, in place of going on",
    "regenerate": "the bars of `continue_from` that are written anew, '9-12'",
    "soundfont": "a SoundFont file (.sf2, .sf3) whose instruments play",
    "anything": "yes, to make a piece even of a prompt of which nothing is understood",
}


@dataclass(frozen=True)
class Controls:
    """Every control settled.

    `instruments` are names out of `INSTRUMENTS`, one a player; `tempo` is in quarters a minute; `chords` is
    a list of chords a bar, repeated as often as the piece needs, or None where the composer draws them.
    `unmet` says what was asked for and cannot be done. `unison` are those of the instruments who play one
    melody together, the first leading; none where each has a part of its own. `density` is None where nobody said it
    and none is drawn yet (`with_density`).
    """

    style: str
    instruments: tuple[str, ...]
    key: Key
    tempo: float
    metre: Metre
    density: str | None
    section: str
    chords: Bars | None
    unmet: tuple[str, ...] = ()
    unison: tuple[str, ...] = ()

    @property
    def density_index(self) -> int:
        """That of `DENSITIES`; -1 for none."""
        return -1 if self.density is None else DENSITIES.index(self.density)

    def joined(self, unison: tuple[str, ...]) -> Controls:
        """The controls with others who play the first instrument's melody with it, which comes first of `unison`."""
        if self.unison or unison[:1] != self.instruments[:1]:
            return self
        apart = tuple(name for name in self.instruments[1:] if name not in unison)
        return replace(self, instruments=(*unison, *apart), unison=unison)


def resolve(
    parsed: ParsedPrompt,
    *,
    seed: int,
    style: str | None = None,
    instruments: str | Sequence[str] | None = None,
    key: str | Key | None = None,
    tempo: float | None = None,
    metre: str | Metre | None = None,
    chords: str | None = None,
    density: str | None = None,
    section: str | None = None,
) -> Controls:
    """Settle every control: options first, then the words, then a draw from the style's habits.

    The draws depend on the seed and on the control alone, so that asking for one leaves the others as they
    were. Nothing is drawn that the words refuse. Chords without a key settle the key.

    Args:
        parsed: what `parse_prompt` read.
        seed: any integer.
        style: a name out of `STYLES`, a band style's, or its file.
        instruments: names such as "organ", "flute, guitar" or "string quartet", or several; at most 12
        players.
        key: such as "G minor".
        tempo: 20 to 300 quarters a minute.
        metre: one of `METRES`, as "3/4" or (3, 4).
        chords: a chart for `read_chart`: a chord a bar, or bars between "|".
        density: one of `DENSITIES`.
        section: one of `SECTIONS`.

    Raises:
        ValueError, TypeError: an option outside its range, in one sentence that names what would be right.
    """
    names, unmet = (parsed.instruments, ()) if instruments is None else _pitched(instruments_named(instruments))
    style = check_style(style) if style is not None else parsed.style
    habits = habits_of(style) if style else _style_for(names, parsed, seed)
    settled_metre = metre_given(metre) if metre is not None else parsed.metre
    settled_metre = settled_metre or weighted(_allowed(_usual_metres(habits, parsed), parsed, "metre"), seed, "metre")
    pace = tempo_given(tempo) if tempo is not None else parsed.tempo
    chart, played_as = _chords(chords if chords is not None else parsed.chords)
    return Controls(
        style=style or habits.name,
        instruments=names or _usual_instruments(habits, parsed, seed),
        key=key_given(key) if key is not None else parsed.key or _usual_key(habits, parsed, chart, seed),
        tempo=pace if pace is not None else _usual_tempo(habits, settled_metre, parsed, seed),
        metre=settled_metre,
        density=_one_of("density", density, DENSITIES) if density is not None else parsed.density,
        section=_one_of("section", section, SECTIONS) if section is not None else parsed.section or "whole",
        chords=chart,
        unmet=(*unmet, *played_as),
    )


def _pitched(names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(the names without drums, what cannot be done). Raises ValueError where only drums are left."""
    pitched = tuple(name for name in names if name != "drums")
    if not pitched:
        raise ValueError(f"instruments is 'drums'; {NO_DRUMS}: name an instrument that plays pitches")
    return pitched, ((f"drums ({NO_DRUMS})",) if pitched != names else ())


def _allowed(choices: Iterable[tuple[T, float]], parsed: ParsedPrompt, slot: str) -> list[tuple[T, float]]:
    """The choices of (choice, weight) that the words do not refuse; all of them, if they refuse every one."""
    return [pair for pair in choices if (slot, pair[0]) not in parsed.avoid] or list(choices)


_OF_VOICES = ("chorale", "quartet")


def _style_for(names: tuple[str, ...], parsed: ParsedPrompt, seed: int) -> Style:
    """A style whose ensemble the named instruments are, or at home on them; any, where there is none. One who plays a
    note at a time, and nobody with him, plays no chorale and no quartet.

    Each is as likely as its habits make the mode, the metre and the pace of the prompt.
    """
    usual = _allowed([(s.name, s.weight) for s in STYLES.values() if s.weight > 0], parsed, "style")
    styles = [STYLES[name] for name, _ in usual]
    exact = [s for s in styles if any(set(names) == set(e) for _, e in s.ensembles)]
    at_home = [s for s in styles if set(names) <= {*s.at_home, *(n for _, e in s.ensembles for n in e)}]
    sized = [s for s in styles if any(len(e) == parsed.players for _, e in s.ensembles)]
    if len(names) == 1 and names[0] not in ("choir", "drums") and INSTRUMENTS[names[0]].program not in HANDS:
        at_home = [s for s in at_home if s.name not in _OF_VOICES]
    fitting = (exact or at_home or styles) if names else (sized or styles)
    return weighted([(style, style.weight * _likelihood(style, parsed)) for style in fitting], seed, "style")


def _likelihood(style: Style, parsed: ParsedPrompt) -> float:
    rare = 0.02  # so that a style nothing speaks for can still be drawn when it is the only one that fits
    share = 1.0
    if parsed.mode:
        share *= style.minor if parsed.mode == "minor" else 1 - style.minor
    if parsed.metre:
        share *= dict(style.metres).get(parsed.metre, 0) / sum(weight for _, weight in style.metres) + rare
    if parsed.pace in ("very slow", "slow", "unhurried") and style.brisk:
        share *= rare
    return share


def _tune_named(habits: Style, parsed: ParsedPrompt) -> Tune | None:
    return TUNES.get(parsed.kind or "") if habits.name == parsed.style else None


def _usual_metres(habits: Style, parsed: ParsedPrompt) -> tuple[tuple[Metre, float], ...]:
    tune = _tune_named(habits, parsed)
    return (tune.metres if tune is not None else ()) or habits.metres


def _usual_instruments(habits: Style, parsed: ParsedPrompt, seed: int) -> tuple[str, ...]:
    """One of the style's ensembles, without the instruments that were refused."""
    refused = {value for slot, value in parsed.avoid if slot == "instrument"}
    if parsed.ensemble and parsed.style == habits.name and not parsed.players and not refused & set(parsed.ensemble):
        return parsed.ensemble
    ensembles = [(names, weight) for weight, names in habits.ensembles if not refused & set(names)]
    tune = _tune_named(habits, parsed)
    if tune is not None and parsed.players in (None, 1):
        ensembles = [((name,), weight) for weight, name in tune.leads if name not in refused] or ensembles
    elif parsed.players and habits.name in STYLES:  # of a band others are left away
        usual = dict.fromkeys((*habits.ensembles[0][1], *habits.at_home, "violin", "viola", "cello", "flute", "oboe"))
        players = tuple(name for name in usual if name not in refused)[: parsed.players]
        ensembles = [pair for pair in ensembles if len(pair[0]) == parsed.players] or [(players, 1.0)]
    if ensembles:
        return weighted(ensembles, seed, "instruments")
    for _, names in habits.ensembles:
        if left := tuple(name for name in names if name not in refused):
            return left
    for name in (*habits.at_home, *INSTRUMENTS):
        if name not in refused and name != "drums":
            return (name,)
    raise ValueError("every instrument is refused; leave at least one to play")


def _usual_key(habits: Style, parsed: ParsedPrompt, chart: Bars | None, seed: int) -> Key:
    if chart is not None:
        return _key_of_chords([chord for bar in chart for chord in bar], parsed.mode)
    mode = parsed.mode or ("minor" if draw(seed, "mode") < habits.minor else "major")
    tonics = (habits.major_keys if mode == "major" else habits.minor_keys).split()
    keys = [(Key.parse(f"{tonic} {mode}"), 1.0) for tonic in tonics]
    return weighted(_allowed(keys, parsed, "key"), seed, "key")


def _key_of_chords(chords: list[Chord], mode: str | None) -> Key:
    """The key that holds most of the chords' notes; among nearly equals, that of the last or the first
    chord.
    """

    def fit(key: Key) -> float:
        tonic = key.home.pitch_classes
        inside = sum(len(chord.pitch_classes & key.scale) / len(chord.pitch_classes) for chord in chords)
        # A minor key's scale counts nine notes and a major key's seven, so any chart fits some minor key
        # well.
        inside -= 0.05 * len(chords) * (key.mode == "minor")
        last, first = (tonic <= chord.pitch_classes for chord in (chords[-1], chords[0]))
        return inside + 0.9 * last + 0.8 * first

    modes = (mode,) if mode else ("major", "minor")
    return max((Key(tonic, m) for m in modes for tonic in range(12)), key=fit)


def usual_tempi(habits: Style, metre: Metre, parsed: ParsedPrompt) -> tuple[float, float]:
    """The form's or the style's usual range in quarters a minute, or the part of it that a tempo word means."""
    slowest, fastest = parsed.span or habits.tempo_in(metre)
    low, high = PACES[parsed.pace] if parsed.pace else (0.0, 1.0)
    return slowest * (fastest / slowest) ** low, slowest * (fastest / slowest) ** high


def _usual_tempo(habits: Style, metre: Metre, parsed: ParsedPrompt, seed: int) -> float:
    """A whole number of quarters a minute among the usual tempi; without a tempo word none of the extreme ones."""
    slowest, fastest = usual_tempi(habits, metre, parsed)
    low, high = (0.0, 1.0) if parsed.pace else (0.2, 0.8)
    place = low + (high - low) * draw(seed, "tempo")
    return float(round(min(240.0, max(36.0, slowest * (fastest / slowest) ** place))))


def with_density(controls: Controls, parsed: ParsedPrompt, label: str, seed: int) -> Controls:
    """The controls with a density; one that nobody said is drawn as often as `label`, a kind of music that a composer
    knows, has it in the metre.
    """
    if controls.density is not None:
        return controls
    usual = zip(DENSITIES, usual_densities(label, controls.metre), strict=True)
    return replace(controls, density=weighted(_allowed(usual, parsed, "density"), seed, "density"))


def _one_of(kind: str, given: str, valid: tuple[str, ...]) -> str:
    if not isinstance(given, str):
        raise TypeError(f"{kind} is {given!r}; it should be one of {', '.join(valid)}")
    if given.strip().lower() not in valid:
        raise ValueError(unknown(kind, given, valid))
    return given.strip().lower()


def key_given(given: str | Key) -> Key:
    """A key as an option gives it. ValueError, TypeError."""
    if not isinstance(given, (str, Key)):
        raise TypeError(f"key is {given!r}; it should be a text such as 'G minor'")
    return given if isinstance(given, Key) else Key.parse(given)


def tempo_given(given: float) -> float:
    """A tempo as an option gives it. ValueError, TypeError."""
    if not SLOWEST <= check_number("tempo", given, "quarters a minute") <= FASTEST:  # a NaN is not in range either
        raise ValueError(f"tempo is {given:g}; it should be from {SLOWEST:g} to {FASTEST:g} quarters a minute")
    return float(given)


def metre_given(given: str | Metre) -> Metre:
    """A metre as an option gives it. ValueError."""
    text = "/".join(map(str, given)) if isinstance(given, tuple) else str(given)
    match = re.fullmatch(r"\s*(\d{1,3})\s*/\s*(\d{1,3})\s*", text)
    metre = (int(match[1]), int(match[2])) if match else None
    if metre not in METRES:
        near = f"; {no_metre((int(match[1]), int(match[2])))}" if match and int(match[2]) else ""
        one_of = "" if near else f"; it should be one of {', '.join(f'{a}/{b}' for a, b in METRES)}"
        raise ValueError(f"metre is {text[:40]!r}{near}{one_of}")
    return metre


def _chords(given: str | None) -> tuple[Bars | None, tuple[str, ...]]:
    """(the bars of a chart, what is not played as it is written)."""
    if given is None:
        return None, ()
    if not isinstance(given, str):
        raise TypeError(f"chords is {given!r}; it should be a text such as 'Gm Cm D7 Gm'")
    bars, played_as = read_chart(given)
    return bars if any(bars) else None, played_as
