"""Malformed checkpoints and jobs for `fuzz.py`."""

from __future__ import annotations

import io
import json
import pickle
import random
import sys
import zipfile
from functools import cache
from pathlib import Path

from fuzz_broken import BREAKS, ROOT, WILD, Case, Ended


@cache
def _aria() -> tuple[bytes, dict]:
    folder = ROOT / "engine" / "pretrained" / "aria"
    return (folder / "model.safetensors").read_bytes(), json.loads((folder / "config.json").read_text())


def weights_case(chance: random.Random) -> Case:
    weights, config = _aria()
    broken, what, cut = chance.choice(BREAKS)(weights, chance)

    def make() -> None:
        Path("model").mkdir()
        Path("model/model.safetensors").write_bytes(broken)
        Path("model/config.json").write_text(json.dumps(config))

    return Case("weights", what, _model_command(chance), make, cut)


def _model_command(chance: random.Random) -> list[str]:
    render = ["render", "waltz", "--seconds", "1", "--model", "model", "-o", "out.wav", "--json"]
    return chance.choice((["info", "model"], ["info", "model", "--json"], render))


HOSTILE = (None, True, -1, 0, 1.5, 10**400, 1e308, float("nan"), "", "x" * 5000, WILD, [], {}, [[]], {"a": {}}, 2**63)


def _nest(chance: random.Random) -> str:
    return chance.choice(("[" * 200_000, '{"a":' * 100_000, "[" * 500 + "]" * 500, '{"decoder": ' + "9" * 5000 + "}"))


def _hostile_json(value: object, chance: random.Random) -> str:
    """A JSON text with one value, anywhere in it, replaced by another."""
    places: list[tuple[object, object]] = []

    def walk(node):
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                walk(node[key])

    walk(value)
    node, key = chance.choice(places)
    if isinstance(node, dict) and chance.random() < 0.2:
        del node[key]
    else:
        node[key] = chance.choice(HOSTILE)
    return json.dumps(value)


def _config_text(value: dict, chance: random.Random) -> tuple[bytes, str]:
    pick = chance.random()
    if pick < 0.1:
        return _nest(chance).encode(), "nested or long numbers"
    if pick < 0.2:
        data, what, _ = chance.choice(BREAKS)(json.dumps(value).encode(), chance)
        return data, what
    text = _hostile_json(json.loads(json.dumps(value)), chance)
    return text.encode(), "a value replaced"


def config_case(chance: random.Random) -> Case:
    weights, config = _aria()
    text, what = _config_text(config, chance)

    def make() -> None:
        Path("model").mkdir()
        Path("model/model.safetensors").write_bytes(weights)
        Path("model/config.json").write_bytes(text)

    return Case("config", what, _model_command(chance), make)


def pickle_case(chance: random.Random) -> Case:
    """LlamaGen's and audiocraft's files: pickles that would run code, archives that grow, and broken ones."""
    buffer, what = (
        io.BytesIO(),
        chance.choice(("plain pickle", "zip with a pickle", "bomb", "protocol 0", "cut", "text")),
    )
    run = {"model": Ended()}
    if what in ("zip with a pickle", "bomb", "cut"):
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(run, 2))
            archive.writestr("archive/version", "3\n")
            if what == "bomb":
                archive.writestr("archive/data/0", bytes(900_000_000), compresslevel=1)
    elif what == "text":
        buffer.write(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 100\n")
    else:
        pickle.dump(run, buffer, 0 if what == "protocol 0" else 2)
    data = buffer.getvalue()
    data = data[: len(data) // 2] if what == "cut" else data
    name = chance.choice(("c2i_B_256.pt", "vq_ds16_c2i.pt", "state_dict.bin", "vqvae.pth.tar", "x.th"))

    def make() -> None:
        Path("model").mkdir()
        (Path("model") / name).write_bytes(data)
        if name == "c2i_B_256.pt":
            Path("model/vq_ds16_c2i.pt").write_bytes(data)
        if name == "state_dict.bin":
            Path("model/compression_state_dict.bin").write_bytes(data)

    where = chance.choice(("model", f"model/{name}"))
    commands = (["info", where], ["paint", "--class", "1", "--model", where, "-o", "out.png"])
    return Case("pickle", f"{what} as {name}", list(chance.choice(commands)), make)


@cache
def _job() -> tuple[Path, dict[str, bytes]]:
    """(a small Jukebox's folder, the files of a render that it began)."""
    import tempfile

    import clavilux

    sys.path.insert(0, str(ROOT / "tests" / "goldens"))
    from jukebox_goldens import save_toy

    folder = Path(tempfile.mkdtemp())
    toy = save_toy(folder / "jukebox", "transformers", "plain")
    model = clavilux.load(toy, device="cpu", dtype="float32")
    words = {"model": str(toy), "output": "out.wav", "loudness": False}
    model.generate(seconds=20, seed=1, levels=1, mark=False, job=folder / "job", job_metadata=words)
    return toy, {path.name: path.read_bytes() for path in (folder / "job").iterdir()}


def job_case(chance: random.Random) -> Case:
    _, files = _job()
    files = dict(files)
    name = chance.choice(sorted(files.keys() - {"lock"}) + ["job.json"] * 3)
    if name == "job.json":
        files[name], what = _config_text(json.loads(files[name]), chance)
    else:
        files[name], what, _ = chance.choice(BREAKS)(files[name], chance)

    def make() -> None:
        Path("job").mkdir()
        for each, data in files.items():
            (Path("job") / each).write_bytes(data)

    arguments = [["info", "job"], ["info", "job", "--json"], ["resume", "job", "-o", "out.wav"]]
    return Case("job", f"{name}: {what}", chance.choice(arguments), make)
