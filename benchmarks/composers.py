"""Songs by a composer, each the twin of a real one: same kind, metre, tempo, length and key, asked for in words.

Knows what is asked of `clavilux.load(...).generate` and how a folder of songs is written and read again. Does not
know what is measured. Any other composer is measured by putting its songs into such a folder: a folder a label
(`corpus.LABELS`), a MIDI file a song, named like the real song that it is the twin of.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import checkout  # noqa: F401  before clavilux
import torch
from corpus import DANCES, LABELS, Song, bars_of, settled
from readings import printed

from clavilux.audio.codecs.bar_grid import WRITTEN_METRES
from clavilux.audio.harmony import Key
from clavilux.audio.score import Score, bar_quarters

LONGEST_BARS = 32
PART = 8  # bars of a dance's part
# Kinds whose every part is played twice, which print does not write out; their songs are asked for as they are played.
PLAYED_TWICE = ("jig", "slip jig", "reel", "hornpipe", "strathspey", *DANCES)
SLOWEST, FASTEST = 40.0, 240.0  # quarters a minute; real scores hold stray tempi beyond

# What a user would type for each label. Words that a model does not know are its own loss, and are counted.
WORDS = {
    "air": "slow irish air for solo flute", "art song": "art song for voice and piano",
    "baroque": "baroque music for harpsichord", "classical": "classical music for piano",
    "hornpipe": "hornpipe for solo fiddle", "hymn": "hymn for choir", "jig": "irish jig for solo fiddle",
    "krakowiak": "krakowiak, polish folk dance for piano", "lead sheet": "popular song for voice alone",
    "march": "march for brass quintet", "mazurka": "mazurka for piano", "minuet": "minuet for piano",
    "orchestral": "classical music for orchestra", "polka": "polka for piano", "polonaise": "polonaise for piano",
    "quartet": "string quartet", "ragtime": "ragtime for piano", "reel": "irish reel for solo fiddle",
    "renaissance": "renaissance music for choir", "romantic": "romantic music for piano",
    "slip jig": "slip jig for solo fiddle", "strathspey": "strathspey for solo fiddle", "waltz": "waltz for piano",
}  # fmt: skip

# Dances asked for by name alone: whether each comes out as itself. (label, words), with whatever metre and tempo
# the composer thinks right.
DANCES = tuple(
    (label, words)
    for label, all_words in {
        "jig": ("irish jig", "lively irish jig on fiddle", "jig for flute", "double jig for accordion", "a merry jig"),
        "reel": ("reel", "irish reel on fiddle", "fast reel for flute", "reel for banjo", "scottish reel"),
        "hornpipe": ("hornpipe", "hornpipe on fiddle", "sailor's hornpipe for flute", "irish hornpipe for accordion"),
        "slip jig": ("slip jig", "irish slip jig on fiddle", "slip jig for flute"),
        "polka": ("polka", "polka for accordion", "fast polka for piano"),
        "air": ("slow air", "slow irish air on flute", "slow air for harp", "sad irish air on fiddle"),
        "strathspey": ("strathspey", "strathspey on fiddle"),
        "waltz": ("waltz", "viennese waltz", "waltz for piano", "slow waltz for accordion"),
    }.items()
    for words in all_words
)


@dataclass(frozen=True)
class Request:
    """What is asked of a composer; without metre, tempo and key it is asked by words alone, for about 32 bars."""

    label: str
    name: str
    words: str
    seed: int
    bars: int = LONGEST_BARS
    metre: tuple[int, int] | None = None
    tempo: float | None = None
    key: Key | None = None


def twin(song: Song) -> Request:
    """The request whose answer is held against `song` as it is printed (`readings.printed`).

    A dance tune of two parts or more is asked for with each part twice, as it is played and as `dances` come; read as
    it is printed, it is as long as `song`.
    """
    metres = [song.score.metre_at(float(start)) for start in song.score.bar_starts()]
    metre = max(set(metres), key=metres.count)
    seed = int(hashlib.sha256(song.name.encode()).hexdigest()[:6], 16)
    tempo = min(max(round(song.score.tempos[0][1]), SLOWEST), FASTEST)
    assert metre in WRITTEN_METRES, "settled songs have no others"
    bars = min(bars_of(printed(song)), LONGEST_BARS)
    if song.label in PLAYED_TWICE and bars >= 2 * PART:
        bars = 2 * (bars // PART) * PART
    return Request(song.label, song.name, WORDS[song.label], seed, bars, metre, float(tempo), song.score.key)


def dances(each: int) -> list[Request]:
    """Every one of `DANCES`, `each` times."""
    asked = [(label, words, i) for label, words in DANCES for i in range(each)]
    return [Request(label, f"{words} {i}", words, 1000 + i) for label, words, i in asked]


class _Silence:
    """Stands in for the renderer where only notes are wanted; it takes longer than composing does."""

    def __init__(self, **_: object) -> None: ...

    def feed(self, *_: object) -> torch.Tensor:
        return torch.zeros(2, 0)

    def finish(self) -> torch.Tensor:
        return torch.zeros(2, 1)  # `Audio` holds at least a sample


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Songs are composed and not played."""
    with patch("clavilux.audio.stems.ScoreRenderer", _Silence):
        yield


def compose(
    model: str, requests: list[Request], folder: Path, report: Callable[[int], None] = lambda done: None
) -> int:
    """Write the songs of `model` into `folder`, those apart that are there; how many prompts had unknown words."""
    import clavilux

    composer = clavilux.load(model)
    unknown = 0
    for done, request in enumerate(requests):
        path = folder / request.label / f"{file_name(request)}.mid"
        report(done)
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with silent():
            song = composer.generate(request.words, seed=request.seed, anything=True, **_options(request))
        unknown += bool(song.receipt["unknown"])
        assert song.score is not None, f"{model} writes no scores"
        song.score.save_midi(path)
    return unknown


def _options(request: Request) -> dict[str, object]:
    if request.metre is None or request.tempo is None:
        return {"seconds": 45.0}
    seconds = request.bars * bar_quarters(request.metre) * 60 / request.tempo
    metre = f"{request.metre[0]}/{request.metre[1]}"
    return {"seconds": seconds, "tempo": request.tempo, "metre": metre, "key": str(request.key)}


def file_name(request: Request) -> str:
    return re.sub(r"[^\w-]+", "_", request.name.removesuffix(".mid"))


def read_folder(folder: Path) -> list[Song]:
    """The songs of a folder as `compose` writes it. ValueError for a subfolder that is no label, or no songs."""
    songs = []
    for path in sorted(folder.glob("*/*.mid")):
        if path.parent.name not in LABELS:
            raise ValueError(f"the folder {str(path.parent)!r} should be named by a label: {', '.join(LABELS)}")
        songs.append(Song(settled(Score.from_midi(path), path.parent.name), path.parent.name, path.stem))
    if not songs:
        raise ValueError(f"{str(folder)!r} holds no songs; it should hold a folder a label with MIDI files")
    return songs
