"""Answers of lessons' exercises, found again by other programs: music21 for notes, Pillow for pictures.

`write` makes the exercises of songs and pictures with Clavilux and leaves what a pupil hears and sees: each as a MIDI
file or as PNG files, with the question and its choices, in a folder. `check` reads that folder in an environment that
has music21, Pillow and numpy and no Clavilux, and answers the questions:

    .venv/bin/python benchmarks/lesson_answers.py write FOLDER [SONG.mid ...] [PICTURE.png ...]
    OTHER/bin/python benchmarks/lesson_answers.py check FOLDER [--json FILE]

An interval, a chord, a numeral are music21's; a cadence is read from the numerals of its last two chords, a metre from
the period of what is struck together, a function from the numeral's step, a fitting chord from music21's chord symbol.
Colors are compared in YCbCr, light and contrast in Pillow's gray, edges by Sobel's kernels. "phrases" is the song's own
way on, looked for in the song. What has no one answer (sing, harmonise all) and "form" are not asked.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

SONGS = {"irish reel on fiddle": 3, "slow church organ chorale in G minor": 1, "slow waltz for piano in D major": 2}
PAINTED = {"red apple": 3, "green frog": 1, "yellow sun": 2, "blue whale": 4, "house": 5, "cat": 6, "orange fish": 7,
           "tree": 8}  # fmt: skip
FUNCTIONS = {1: "tonic", 2: "subdominant", 3: "tonic", 4: "subdominant", 5: "dominant", 6: "tonic", 7: "dominant"}


def write(folder: Path, files: list[Path]) -> None:
    """The exercises as files, by Clavilux."""
    import torch

    import clavilux
    from clavilux.audio.clip import Audio
    from clavilux.audio.notation.files import read_score
    from clavilux.image.picture import Picture
    from clavilux.teaching import examples, picture_exercises
    from clavilux.teaching.picture_facts import picture_facts
    from clavilux.teaching.song_exercises import exercise_sections
    from clavilux.teaching.song_facts import facts_of

    folder.mkdir(parents=True, exist_ok=True)
    examples.clip_of = lambda score: Audio(torch.zeros(1, 800), 8000, score=score)  # the notes are all that is read
    aria, lumia, rows = clavilux.load("aria"), clavilux.load("lumia"), []
    songs = {words: aria.generate(words, seed=seed, seconds=20, mark=False).score for words, seed in SONGS.items()}
    pictures = {words: lumia.generate(words, seed=seed, mark=False) for words, seed in PAINTED.items()}
    for path in files:
        if path.suffix.lower() in (".mid", ".midi"):
            songs[path.name] = read_score(path)
        else:
            pictures[path.name] = Picture.load(path)
    for seed, (name, score) in enumerate(songs.items(), 1):
        facts = facts_of(score, name, "score")
        song = folder / f"song-{seed}.mid"
        facts.bars(1, 4).save_midi(song)
        for exercise in [e for s in exercise_sections(facts, aria, seed, []) for e in s.blocks if e.choices]:
            heard = [each.clip.score for each in exercise.shown if hasattr(each, "clip")]
            row = exercise.as_dict() | {"of": name, "song": song.name, "midi": []}
            for place, each in enumerate([exercise.score] if exercise.score is not None else heard):
                row["midi"].append(f"{len(rows)}-{place}.mid")
                each.save_midi(folder / row["midi"][-1])
            rows.append(row)
    for seed, (name, picture) in enumerate(pictures.items(), 1):
        whole = folder / f"picture-{seed}.png"
        picture.save(whole)
        for exercise in picture_exercises.exercises(picture_facts(picture, name), seed):
            row = exercise.as_dict() | {"of": name, "picture": whole.name, "png": []}
            for place, each in enumerate(block for row_of in exercise.shown for block in getattr(row_of, "blocks", ())):
                row["png"].append(f"{len(rows)}-{place}.png")
                each.picture.save(folder / row["png"][-1])
            rows.append(row)
    (folder / "exercises.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(len(rows), "exercises with choices")


def check(folder: Path, target: Path | None) -> None:
    """The answers of music21 and Pillow beside the exercises' own."""
    rows, found = json.loads((folder / "exercises.json").read_text()), []
    for row in rows:
        answer = picture_answer(folder, row) if "picture" in row else song_answer(folder, row)
        if answer is not None:
            found.append({"of": row["of"], "topic": row["topic"], "level": row["level"], "answer": row["answer"],
                          "second": answer, "agree": answer == row["answer"]})  # fmt: skip
    for each in found:
        if not each["agree"]:
            print(each)
    topics, agreed = (Counter(e["topic"] for e in found if e["agree"] or not only) for only in (False, True))
    print({topic: f"{agreed[topic]} of {count}" for topic, count in topics.items()})
    print(sum(agreed.values()), "of", len(found), "agree")
    if target is not None:
        kept = json.loads(target.read_text()) if target.exists() else {}
        target.write_text(json.dumps(kept | {"answers": found}, indent=1, ensure_ascii=False) + "\n")


def song_answer(folder: Path, row: dict) -> str | None:
    """By music21; None for a topic that is not asked."""
    from music21 import chord, interval, key, roman

    sounds = [onsets_of(folder / each) for each in row["midi"]]
    match row["topic"]:
        case "intervals":
            pitches = [pitch for _, struck in sounds[0] for pitch, _ in struck]
            name = interval.Interval(max(pitches) - min(pitches)).niceName.lower()
            return {"perfect octave": "octave", "perfect unison": "unison", "diminished fifth": "tritone",
                    "augmented fourth": "tritone"}.get(name, name)  # fmt: skip
        case "chords":
            begin = float(row["given"]["from"])
            pitches = sorted(pitch for at, struck in sounds[0] if at > begin - 0.05 for pitch, _ in struck)
            name = chord.Chord(pitches).commonName.removeprefix("enharmonic equivalent to ")
            return name.removesuffix(" chord")
        case "cadences":
            home = key_of(key, row["given"]["key"])
            chords = [chord.Chord([pitch for pitch, _ in struck]) for _, struck in sounds[0]][-2:]
            before, last = (roman.romanNumeralFromChord(each, home) for each in chords)
            return cadence_of(before.scaleDegree, last.scaleDegree, last, chords[-1], home)
        case "metre":
            return metre_of(sounds[0])
        case "functions":
            home, root = key_of(key, row["given"]["key"]), chord_of(row["given"]["chord"])
            return FUNCTIONS[roman.romanNumeralFromChord(chord.Chord(root.pitches), home).scaleDegree]
        case "harmony":
            notes = [note for _, struck in sounds[0] for note in struck]
            return max(row["choices"], key=lambda name: held(notes, {p.pitchClass for p in chord_of(name).pitches}))
        case "phrases":
            song = {(round(at, 1), pitch) for at, struck in onsets_of(folder / row["song"]) for pitch, _ in struck}
            shared = [
                len(song & {(round(at, 1), pitch) for at, struck in each for pitch, _ in struck}) for each in sounds
            ]
            return row["choices"][shared.index(max(shared))]
    return None


def onsets_of(path: Path) -> list[tuple[float, list[tuple[int, float]]]]:
    """What is struck together: (quarter, [(pitch, quarters)]) in order."""
    from music21 import converter

    found: dict[float, list[tuple[int, float]]] = {}
    for each in converter.parse(path, quantizePost=False).stripTies().flatten().notes:
        for pitch in each.pitches:
            found.setdefault(round(float(each.offset), 3), []).append((pitch.midi, float(each.quarterLength)))
    return sorted(found.items())


def key_of(key, text: str):
    """music21's key of "Bb minor"."""
    tonic, mode = text.split()
    return key.Key(tonic.replace("b", "-"), mode)


def chord_of(name: str):
    """music21's chord of "Bbm7"."""
    from music21 import harmony

    root = name[:2] if name[1:2] in ("b", "#") else name[:1]
    return harmony.ChordSymbol(root.replace("b", "-") + name[len(root) :])


def held(notes: list[tuple[int, float]], classes: set[int]) -> float:
    return sum(quarters for pitch, quarters in notes if pitch % 12 in classes)


def cadence_of(before: int, last: int, numeral, sounding, home) -> str:
    """From steps of the scale; a close at home is perfect where its root is lowest and the tonic highest."""
    if last == 5:
        return "half"
    if last == 6 and before == 5:
        return "deceptive"
    if last == 1 and before == 4:
        return "plagal"
    if last == 1 and before == 5:
        top = max(sounding.pitches).pitchClass == home.tonic.pitchClass
        return "perfect authentic" if top and numeral.inversion() == 0 else "imperfect authentic"
    return f"{before} to {last}"


def metre_of(sound: list[tuple[float, list[tuple[int, float]]]]) -> str:
    """The period of notes alone and notes together, in the shortest step."""
    alone = [len(struck) == 1 for _, struck in sound]
    step = min(b - a for (a, _), (b, _) in pairwise(sound))
    period = next(p for p in range(2, len(alone)) if alone[p:] == alone[:-p])
    return f"{2 * period}/8" if step < 0.75 else f"{period}/4"


def picture_answer(folder: Path, row: dict) -> str | None:
    """By Pillow's color spaces and filters."""
    import numpy as np
    from PIL import Image, ImageFilter, ImageStat

    whole = Image.open(folder / row["picture"]).convert("RGB")
    shown = [Image.open(folder / each).convert("L") for each in row["png"]]
    choices, given = row["choices"], row.get("given", {})
    far = np.asarray(whole.convert("YCbCr"), np.float64)
    match row["topic"]:
        case "color":
            swatches = np.array([chroma(code) for code in given["swatches"]])
            nearest = ((far[:, :, None] - swatches) ** 2).sum(-1).argmin(-1)
            return choices[int(np.bincount(nearest.ravel(), minlength=len(choices)).argmax())]
        case "complement":
            first = np.array(chroma(given["first"]))[1:] - 128
            others = [np.array(chroma(code))[1:] - 128 for code in given["swatches"]]
            return choices[int(np.argmin([first @ each / np.linalg.norm(each) for each in others]))]
        case "temperature":
            warm = far[..., 2] - far[..., 1]
            half = warm.shape[1] // 2
            return choices[int(warm[:, -half:].mean() > warm[:, :half].mean())]
        case "light":
            quarters = whole.convert("L").resize((2, 2), Image.Resampling.BOX)
            return choices[int(np.asarray(quarters).ravel().argmax())]
        case "contrast":
            return choices[int(np.argmax([ImageStat.Stat(each).stddev[0] for each in shown]))]
        case "detail":
            edges = [np.asarray(each.filter(ImageFilter.FIND_EDGES))[1:-1, 1:-1].mean() for each in shown]
            return choices[int(np.argmax(edges))]
        case "edges":
            return choices[direction_of(whole.convert("L").filter(ImageFilter.GaussianBlur(1)))]
    return None


def chroma(code: str) -> tuple[int, ...]:
    from PIL import Image

    return Image.new("RGB", (1, 1), code).convert("YCbCr").getpixel((0, 0))


def direction_of(gray) -> int:
    """0 level, 1 falling to the right, 2 upright, 3 rising: of the strongest Sobel gradients."""
    import numpy as np

    a = np.asarray(gray, np.float64)
    across = a[:-2, 2:] + 2 * a[1:-1, 2:] + a[2:, 2:] - a[:-2, :-2] - 2 * a[1:-1, :-2] - a[2:, :-2]
    down = a[2:, :-2] + 2 * a[2:, 1:-1] + a[2:, 2:] - a[:-2, :-2] - 2 * a[:-2, 1:-1] - a[:-2, 2:]
    along = (np.degrees(np.arctan2(down, across)) + 90) % 180
    return int(np.bincount(np.round(along / 45).astype(int).ravel() % 4, (across**2 + down**2).ravel(), 4).argmax())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("write", "check"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if asked.what == "write":
        write(asked.folder, asked.files)
    else:
        check(asked.folder, asked.json)


if __name__ == "__main__":
    main()
