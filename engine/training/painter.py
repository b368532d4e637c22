"""Training of the bundled painter: first the codec of its pictures, then the decoder that draws the codec's tokens.

    python -m clavilux.training.painter FOLDER --artists FOLDER --minutes 900 --export checkpoint

FOLDER holds the unpacked Debian packages that `pictures` names, --artists what `drawings.INSTALL` installs. Everything
lies in the run's folder: the pictures (`pictures.npz`), the codec (`codec.pt`), the vocabulary (`words.json`), scenes
and their tokens (`scenes-000.npz`, ..., to which more are added while the decoder learns), scenes of pictures that are
held out (`unseen/`) and the decoder (`decoder.pt`); a run that was stopped goes on from there. `checkpoint/` is what
the run has come to, as `clavilux.load` takes it. With --begin the codec and the decoder go on from a checkpoint's.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from clavilux.families.lumia.family import DELAYS
from clavilux.families.lumia.hands import table_of
from clavilux.image.codecs.residual import ResidualVQ
from clavilux.training import augment, pictures
from clavilux.training.drawings import drawings
from clavilux.training.image_dataset import ImageDataset, Report, autocast, floats
from clavilux.training.painter_decoder import DecoderRun, TrainSpec
from clavilux.training.painter_files import State, begin_with, export, read_checkpoint
from clavilux.training.picture_codec import CodecRun, CodecSpec
from clavilux.training.pictures import Named
from clavilux.training.scenes import Scene, SceneMaker, pixels_of, to_array
from clavilux.training.shapes import shapes
from clavilux.training.tokens import ScenePool, hands_of, load_words, save_words, vocabulary_of

CODEC_SHARE, PAINTING_SHARE = 0.2, 0.15  # of the time: the codec first, and what paints once more at the end
FIRST_SCENES, MORE_SCENES, MOST_SCENES, UNSEEN_SCENES = 24_000, 2_000, 400_000, 1_000
TOGETHER = 250  # scenes whose tokens are found at once


def named_pictures(source: Path, artists: Path) -> Iterator[Named]:
    """Everything that the painter is taught from."""
    return chain(pictures.pictures(source), drawings(source, artists), shapes())


def tokenised(codec: ResidualVQ, dataset: ImageDataset, scenes: list[Scene]) -> Tensor:
    """int16 [N, K, places], the tokens of scenes."""
    tokens = []
    with autocast():
        for start in range(0, len(scenes), TOGETHER):
            pixels = np.stack([pixels_of(dataset, scene) for scene in scenes[start : start + TOGETHER]])
            tokens.append(codec.encode(floats(pixels)).to(torch.int16))
    return torch.cat(tokens)


class PainterRun:
    """A run in its folder: what is there is not made again."""

    def __init__(self, source: Path, artists: Path, out: Path, begin: Path | None, report: Report):
        self.out, self.report = out, report
        self.known = read_checkpoint(begin) if begin else None
        out.mkdir(parents=True, exist_ok=True)
        (out / "unseen").mkdir(exist_ok=True)
        if not (out / "pictures.npz").exists():
            augment.build(named_pictures(source, artists), out / "pictures.npz", progress=self._say_pictures)
        self.dataset = ImageDataset(out / "pictures.npz")
        report(f"{len(self.dataset.about)} pictures, {len(self.dataset.taught)} of them taught")
        if not (out / "words.json").exists():
            save_words(out / "words.json", vocabulary_of(self.dataset))
        self.words = load_words(out / "words.json")
        self.pool, self.unseen = ScenePool(out), ScenePool(out / "unseen")

    def _say_pictures(self, number: int) -> None:
        if number % 500 == 0:
            self.report(f"picture {number}")

    def codec(self, seconds: float, *, painting: bool = False) -> CodecRun:
        """The codec's run; one that begins with a checkpoint's codec has nothing to learn before it paints."""
        path = self.out / "codec.pt"
        run = CodecRun(
            self.dataset, path, CodecSpec(perceptual=1.0 if painting else 0.7), seconds, painting
        )  # fmt: skip
        if self.known and not path.exists():
            run.codec.load_state_dict(self.known[0])
            run.checkpoint()
        return run

    def grow(self, codec: ResidualVQ, count: int) -> None:
        """Add scenes to the pool."""
        maker = SceneMaker(self.dataset, seed=1000 + len(self.pool.files()))
        scenes = [maker.scene() for _ in range(count)]
        self.pool.add(tokenised(codec, self.dataset, scenes), to_array(scenes))
        self.report(f"{len(self.pool)} scenes")

    def first_scenes(self, codec: ResidualVQ) -> None:
        """What the decoder needs before its first step."""
        if not len(self.unseen):
            held_out = np.flatnonzero(self.dataset.held_out & self.dataset.fit)
            maker = SceneMaker(self.dataset, seed=999, rows=held_out)
            scenes = [maker.scene() for _ in range(UNSEEN_SCENES)]
            self.unseen.add(tokenised(codec, self.dataset, scenes), to_array(scenes))
        while len(self.pool) < FIRST_SCENES:
            self.grow(codec, MORE_SCENES)

    def decoder(self, codec: ResidualVQ, spec: TrainSpec, seconds: float, compiled: bool = False) -> None:
        """Train the decoder; the checkpoint folder follows it."""
        path = self.out / "decoder.pt"
        run = DecoderRun(self.pool, self.unseen, self.dataset, self.words, path, spec, seconds, compiled=compiled)
        if self.known and not path.exists():
            shared = begin_with(run.model, self.words, *self.known[1:])
            run.begin(run.model.state_dict())
            self.report(f"begins with {shared} known words of {len(self.words)}")

        def between() -> None:
            self.export(codec.state_dict(), self.out / "checkpoint")
            # As many as half of what was shown so far, so that each scene is shown about twice.
            wanted = min(MOST_SCENES, FIRST_SCENES + run.step * run.spec.batch // 2)
            if len(self.pool) < wanted:
                self.grow(codec, MORE_SCENES)

        run.go(self.report, between)

    def export(self, codec: State, target: Path) -> None:
        """Write the checkpoint of what the run has come to."""
        state = torch.load(self.out / "decoder.pt", weights_only=True)
        training = {**state["spec"], "steps": state["step"], "seconds": round(state["spent_s"])}
        export(target, codec, state["average"], self.words, training, table_of(self.words, hands_of(self.dataset)))


def plot(folder: Path, path: Path) -> None:
    """Nats a token of each codebook over the minutes spent, in training and held out."""
    from matplotlib.figure import Figure

    log = torch.load(folder / "decoder.pt", weights_only=True)["log"]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    minutes = [spent / 60 for _, spent, _, _ in log]
    for k in range(len(DELAYS)):
        (line,) = axes.plot(minutes, [train[k] for *_, train, _ in log], label=f"codebook {k + 1}")
        axes.plot(minutes, [held_out[k] for *_, held_out in log], "--", color=line.get_color())
    axes.set(xlabel="minutes", ylabel="nats a token", title="Painter (dashed: held out)")
    axes.legend()
    figure.savefig(path, dpi=120)


def train(
    source: Path, artists: Path, out: Path, minutes: float, begin: Path | None, report: Report,
    spec: TrainSpec | None = None, compiled: bool = False,
) -> PainterRun:  # fmt: skip
    """All of it: pictures, codec, scenes, decoder, and the codec's painting of what the decoder draws."""
    run, seconds = PainterRun(source, artists, out, begin, report), minutes * 60
    codec_run = run.codec(seconds * CODEC_SHARE)
    if not begin and not len(run.pool):
        codec_run.go(report)
    codec = codec_run.codec
    run.first_scenes(codec)
    decoder_share = 1 - PAINTING_SHARE - (0 if begin else CODEC_SHARE)
    run.decoder(codec, spec or TrainSpec(), seconds * decoder_share, compiled)
    run.codec(seconds * PAINTING_SHARE, painting=True).go(report)
    return run


def main() -> None:
    """Train the painter, or go on with it, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="folder with the unpacked Debian packages")
    parser.add_argument("--artists", type=Path, required=True, help="folder with the installed icon sets")
    parser.add_argument("--out", type=Path, default=Path("runs/painter"), help="pictures, states, tokens")
    parser.add_argument(
        "--minutes", type=float, default=900.0, help="training time in all, of the processor: a thread's share"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--begin", type=Path, help="a checkpoint folder of the painter's whose weights to begin with")
    parser.add_argument("--muon-rate", type=float, default=TrainSpec.muon_rate, help="of the decoder's matrices")
    parser.add_argument("--adam-rate", type=float, default=TrainSpec.adam_rate, help="of all else in the decoder")
    parser.add_argument(
        "--compile", action="store_true", help="compile the decoder's step: two fifths faster; needs a C++ compiler"
    )
    parser.add_argument("--export", type=Path, help="when done, write the checkpoint into this folder")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    run = train(
        args.source, args.artists, args.out, args.minutes, args.begin, lambda line: print(line, flush=True),
        TrainSpec(muon_rate=args.muon_rate, adam_rate=args.adam_rate), args.compile,
    )  # fmt: skip
    if args.export:
        run.export(torch.load(args.out / "codec.pt", weights_only=True)["codec"], args.export)
        plot(args.out, args.export / "curves.png")


if __name__ == "__main__":
    main()
