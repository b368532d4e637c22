"""How well a mark is found in a toy MusicGen's tokens, and in their sound by its codec: `marks_codec.py --scores DIR`

Trains the toy (`toy_musicgen.py`), draws pieces with the public key and without, and looks for that key in their tokens
and in the tokens that the codec hears in their sound: as it is, as MP3, and with its beginning cut off. Then for 1,000
wrong keys in every unmarked piece: their noise is made once, for all pieces. `--folder` keeps what was made, so that a
run that was cut off goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import platform
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import soundfile
import torch
from marks import ALARMS, THRESHOLDS, note, rates, real_excerpts
from quality import commit
from scipy import stats
from torch import Tensor
from toy_musicgen import RATE, played, trained

from clavilux.audio.clip import Audio
from clavilux.mark_key import PUBLIC, MarkKey
from clavilux.marking import NONCES, Place
from clavilux.music_model import MusicModel
from clavilux.provenance.mark import find_in_tokens, gamma_tail, group_scores, of_tries
from clavilux.provenance.mark_codecs import ALIGNMENTS, LATEST, find_in_codec_sound

SECONDS = {True: 5.0, False: 1.0}  # of a piece with the mark, and of one without: 250 and 50 frames
LENGTHS = (12, 25, 50, 100, 250)  # frames that are looked at
BATCH = 50
FIRST_PLAIN = 100_000  # seeds of pieces without a mark
CUT_S = 0.197  # not a whole number of frames
SEARCHED = 15  # unmarked sounds in which every beginning is tried
TAUGHT, HELD_OUT = 60, 60  # played scores that the toy is taught, and others


def drawn(model: MusicModel, count: int, mark: bool, folder: Path) -> Tensor:
    """int64 [count, K, T], without guidance; seeds one after another."""
    path = folder / f"{'marked' if mark else 'plain'}.pt"
    held: list[Tensor] = list(torch.load(path, weights_only=True)) if path.exists() else []
    first = 0 if mark else FIRST_PLAIN
    while len(held) < count:
        seeds = list(range(first + len(held), first + len(held) + BATCH))
        songs = model.generate([""] * BATCH, seed=seeds, seconds=SECONDS[mark], guidance=1.0, mark=mark)
        held += [song.tokens for song in songs]
        torch.save(torch.stack(held), path)
        print(f"{path.stem}: {len(held)} pieces", flush=True)
    return torch.stack(held[:count])


def found_in(groups: Tensor, kind: str, num_groups: int, key: MarkKey = PUBLIC) -> list[list[float]]:
    """[p, tokens] of each row of groups int64 [N, T]: `find_in_tokens`, whose noise is made once for all of them."""
    count, length = groups.shape
    totals = totals_of(key, kind, groups, num_groups).tolist()
    found: list[list[float]] = [[of_tries(gamma_tail(total, length), NONCES), length] for total in totals]
    places = [Place(at) for at in range(length)]
    for row in {0, count // 2, count - 1}:
        mark = find_in_tokens(key, kind, [(groups[row].tolist(), places)], num_groups)
        assert math.isclose(mark.p, found[row][0], rel_tol=1e-3), "the detector says the same"
    return found


def by_length(groups: dict[bool, Tensor], kind: str, num_groups: int) -> dict[str, dict]:
    """Frames -> how often the key is found in pieces [N, T] with it and without, as far as those are so long."""
    found: dict[str, dict] = {}
    for length in LENGTHS:
        rows = {mark: each[:, :length] for mark, each in groups.items() if each.shape[1] >= length}
        found[str(length)] = {
            "marked" if mark else "unmarked": rates(found_in(each, kind, num_groups), THRESHOLDS if mark else ALARMS)
            for mark, each in rows.items()
        }
    return found


def totals_of(key: MarkKey, kind: str, groups: Tensor, num_groups: int) -> Tensor:
    """float64 [N]: the best sum of scores over nonces of each row of groups int64 [N, T], as the detector has it."""
    count, length = groups.shape
    scores = group_scores(key.word(kind), [Place(at) for at in range(length)], num_groups).flatten(1)  # [NONCES, T * G]
    where = (groups + torch.arange(length) * num_groups).t()  # [T, N]
    best = torch.zeros(NONCES, count, dtype=torch.float64)
    for each in where:
        best += scores[:, each]
    return best.amax(0)


def wrong_keys(sets: dict[str, Tensor], kind: str, num_groups: int, count: int, folder: Path) -> dict[str, dict]:
    """Of each set of groups int64 [N, T], false alarms of so many wrong keys on every row."""
    path, names = folder / "wrong.pt", list(sets)
    together = torch.cat(list(sets.values()))
    held: list[Tensor] = list(torch.load(path, weights_only=True)) if path.exists() else []
    for number in range(len(held), count):
        key = MarkKey(hashlib.sha256(f"wrong {number}".encode()).digest())
        held.append(totals_of(key, kind, together, num_groups))
        if number % 50 == 49 or number == count - 1:
            torch.save(torch.stack(held), path)
            print(f"wrong keys: {number + 1}", flush=True)
    tail = stats.gamma(together.shape[1]).sf(torch.stack(held[:count]).numpy())  # [keys, N]
    p = -np.expm1(NONCES * np.log1p(-np.minimum(tail, 1 - 1e-16)))
    found, start = {}, 0
    for name in names:
        each = p[:, start : start + len(sets[name])]  # [keys, pieces]
        own, alarms = each.ravel(), (each <= ALARMS[0]).sum(1)
        start += len(sets[name])
        found[name] = {
            "pieces": len(sets[name]), "keys": count, "smallest p": float(own.min()),
            f"pieces at {ALARMS[0]:g}, of a key": {
                "median": float(np.median(alarms)), "most": int(alarms.max()),
                "95 of 100 keys": [float(np.quantile(alarms, at)) for at in (0.025, 0.975)],
            },
            **rates([[value, 0] for value in own.tolist()], (0.5, 0.1, *ALARMS, 1e-4, 1e-5, 1e-6)),
        }  # fmt: skip
    first = found_in(together[:1], kind, num_groups, MarkKey(hashlib.sha256(b"wrong 0").digest()))
    assert math.isclose(first[0][0], float(p[0, 0]), rel_tol=1e-3), "the detector says the same"
    return found


def heard(model: MusicModel, sounds: Tensor, change: Callable[[np.ndarray], np.ndarray] | None = None) -> Tensor:
    """int64 [N, T]: the groups of the tokens that the codec hears in sounds [N, samples]."""
    codec, groups, found = model.family.stage.codec, model.family.marked.groups, []
    for batch in sounds.split(BATCH):
        if change is not None:
            batch = torch.stack([torch.from_numpy(change(each.numpy())[: sounds.shape[1]]).float() for each in batch])
        found.append(groups[codec.encode(batch[:, None])[:, 0]])
    return torch.cat(found)


def of_codec(model: MusicModel, sounds: Tensor) -> dict[str, float]:
    """How well the codec gives sounds [N, samples] back, and how many groups it hears again in what it gave back."""
    codec, groups = model.family.stage.codec, model.family.marked.groups
    given = sounds[:20, : round(SECONDS[True] * RATE)]
    tokens = codec.encode(given[:, None])
    back = codec.decode(tokens)
    lost = (given - back[:, 0, : given.shape[1]]).square().mean()
    same = groups[tokens[:, 0]] == groups[codec.encode(back)[:, 0]]
    return {
        "signal to noise dB": round(float(10 * torch.log10(given.square().mean() / lost)), 2),
        "groups heard again": round(float(same.float().mean()), 4),
    }


def mp3(kbps: int) -> Callable[[np.ndarray], np.ndarray]:
    """MP3 of 32 to 320 kbit/s at 44.1 kHz, and back: its delay is cut off, as decoders do."""

    def change(samples: np.ndarray) -> np.ndarray:
        file = io.BytesIO()
        wide = Audio(torch.from_numpy(samples)[None], RATE).resample(44100).samples[0].numpy()
        soundfile.write(
            file, wide, 44100, format="MP3", bitrate_mode="CONSTANT", compression_level=(320 - kbps) / (320 - 32)
        )
        file.seek(0)
        back, _ = soundfile.read(file, dtype="float32")
        narrow = Audio(torch.from_numpy(back)[None], 44100).resample(RATE).samples[0].numpy()
        return np.pad(narrow, (0, max(0, len(samples) - len(narrow))))

    return change


def entropy(model: MusicModel, tokens: Tensor) -> float:
    """Nats of choice in the group of a marked token, on average, in pieces that are long enough to tell."""
    marked, total, count = model.family.marked, 0.0, 0
    for piece in tokens:
        odds = model.logits(piece)[0].softmax(-1)  # [T, V]
        share = torch.zeros(len(odds), marked.num_groups).index_add_(1, marked.groups[: odds.shape[1]], odds)
        total -= float(torch.xlogy(share, share).sum())
        count += len(odds)
    return total / count


def measured(args: argparse.Namespace) -> dict:
    """The report; each part is printed as it is done."""
    sounds_path = args.folder / "sounds.pt"
    if not sounds_path.exists():
        torch.save(played((score for _, score in real_excerpts(args.scores, 2 * TAUGHT)), TAUGHT), sounds_path)
    taught = torch.load(sounds_path, weights_only=True)
    model = trained(args.folder / "model", taught)
    marked_tokens, (kind, count) = model.family.marked, (model.family.marked.kind, model.family.marked.num_groups)
    tokens = {mark: drawn(model, args.marked if mark else args.plain, mark, args.folder) for mark in (True, False)}
    report: dict = {
        "date": date.today().isoformat(), "commit": commit(), "machine": platform.processor() or platform.machine(),
        "key": PUBLIC.id, "model": "a toy MusicGen and its codec, trained by toy_musicgen.py", "groups": count,
        "frames": tokens[True].shape[2], "nats of choice a token": round(entropy(model, tokens[False][:20]), 3),
    }  # fmt: skip
    groups = {mark: marked_tokens.groups[each[:, 0]] for mark, each in tokens.items()}
    report["tokens"] = by_length(groups, kind, count)
    note(args, report, "tokens")
    codec = model.family.stage.codec
    sounds = {
        mark: torch.cat([codec.decode(part)[:, 0] for part in each.split(BATCH)]) for mark, each in tokens.items()
    }
    again = {mark: heard(model, each) for mark, each in sounds.items()}
    report["groups heard again"] = round(float((again[True] == groups[True]).float().mean()), 4)
    report["taught sounds"] = of_codec(model, taught)
    report["sound"] = by_length(again, kind, count)
    for kbps in (128, 64):
        after = heard(model, sounds[True], mp3(kbps))
        share = round(float((after == groups[True]).float().mean()), 4)
        report["sound"][f"MP3 at {kbps} kbit/s"] = {
            "groups heard again": share, "marked": rates(found_in(after, kind, count), THRESHOLDS)
        }  # fmt: skip
    note(args, report, "sounds")
    others = list(real_excerpts(args.scores, 4 * (TAUGHT + HELD_OUT)))[2 * TAUGHT :]
    real = heard(model, played((score for _, score in others), HELD_OUT)[:, : sounds[False].shape[1]])
    report["real scores, played"] = rates(found_in(real, kind, count), ALARMS)
    note(args, report, "played scores")
    sets = {"tokens": groups[False], "sound": again[False], "real scores, played": real}
    report["wrong keys"] = wrong_keys(sets, kind, count, args.wrong_keys, args.folder)
    note(args, report, "wrong keys")
    report["every beginning tried"] = searched(model, sounds)
    note(args, report, "beginnings")
    return report


def searched(model: MusicModel, sounds: dict[bool, Tensor]) -> dict[str, dict]:
    """As `clavilux verify --model` does, of sounds whose first CUT_S are gone, and of unmarked ones."""
    marked, codec = model.family.marked, model.family.stage.codec
    cut = round(CUT_S * RATE)
    given = {"marked, its beginning cut off": sounds[True][:SEARCHED, cut:], "unmarked": sounds[False][:SEARCHED]}
    found = {}
    for name, each in given.items():
        marks = [find_in_codec_sound(Audio(one[None], RATE), PUBLIC, codec, marked) for one in each]
        found[name] = rates([[mark.p, mark.tokens] for mark in marks], (*THRESHOLDS, *ALARMS[:1]))
    return {"alignments": ALIGNMENTS, "first frames": LATEST, "cut off s": CUT_S, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scores", type=Path, required=True, help="folder of MIDI files with index.tsv")
    parser.add_argument("--folder", type=Path, required=True, help="what was trained and drawn is kept here")
    parser.add_argument("--marked", type=int, default=300, help="pieces with the mark")
    parser.add_argument("--plain", type=int, default=1000, help="pieces without")
    parser.add_argument("--wrong-keys", type=int, default=1000, help="so many on each unmarked piece")
    parser.add_argument("--json", type=Path, help="write the report here")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    print(json.dumps(measured(args), indent=2))


if __name__ == "__main__":
    main()
