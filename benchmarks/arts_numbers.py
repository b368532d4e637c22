"""Imported by `arts.py`: what dream and style reach, and what the plain loops of `arts_peers.py` reach."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import arts_peers
import torch
from torch import Tensor

from clavilux.arts.dream import Dreamer, zoom
from clavilux.image.arts import fine_style, style_measures
from clavilux.image.arts.dream import DreamSpec, dream, octave_sizes
from clavilux.image.arts.features import load_features
from clavilux.image.arts.fine_style import FineStyle, Manner
from clavilux.image.arts.objective import Objective, parse_targets
from clavilux.image.arts.style_measures import STYLE_LAYERS, Style
from clavilux.image.picture import Picture

LAYER, BAND = "blocks.10", 8  # what is dreamed; pixels on either side of a seam
CONTENT = (0.02, 0.25)
LARGEST_TILE = 16384  # of a dream in one piece
Numbers = dict[str, Any]


def floats(pixels: Tensor) -> Tensor:
    """uint8 [H, W, 3] to float [1, 3, H, W], -1 to 1."""
    return Picture(pixels).to_floats()[None]


def save(pixels: Tensor, folder: Path | None, name: str) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        Picture(pixels).save(folder / f"{name}.png")


def dreaming(photo: Picture, spec: DreamSpec | None = None) -> Callable[[], Any]:
    """A call that dreams `LAYER`, whose last step it returns: four octaves, ten iterations at each, if not told."""
    features = load_features()
    objective = Objective(features, parse_targets(features, LAYER))

    def run() -> Any:
        for step in dream(photo.to_floats(), objective, spec or DreamSpec(), seed=1):  # noqa: B007
            pass
        return step

    return run


def zoom_frames(photo: Picture) -> Callable[[], Any]:
    """A call that makes one frame of a zoom; the first, which is a whole dream, is made before, and shortened."""
    frames = zoom(Dreamer(LAYER, spec=DreamSpec(iterations=1)), photo, 100, seed=1)
    next(frames)
    return lambda: next(frames)


def style_rows(photo: Picture, painting: Picture, side: int, folder: Path | None, name: str) -> Numbers:
    """A pair: what the photograph is from the painting, unchanged and in fine style."""
    features, scaled = load_features(), photo.fit(side)
    wanted = seen(features, fine_style.scaled(painting.pixels, side))
    found: Numbers = {"unchanged": judged(features, scaled.pixels, scaled.pixels, wanted)}
    for content in CONTENT:
        started = time.perf_counter()
        made = FineStyle(features, [(painting.pixels, 1.0)], Manner(content=content))(scaled.pixels)
        elapsed_s = time.perf_counter() - started
        row = judged(features, scaled.pixels, made.pixels, wanted) | {"seconds": round(elapsed_s, 2)}
        row["times_less_loss"] = round(found["unchanged"]["style_loss"] / row["style_loss"], 2)
        row["by_size"] = {str(run.side): [round(run.losses[0], 4), round(run.losses[-1], 4)] for run in made.runs}
        found[f"content {content}"] = row
        save(made.pixels, folder, f"{name}, content {content}")
        print(f"{name:48} content {content:<5} {row}", flush=True)
    return found


def seen(features: Any, pixels: Tensor) -> Style:
    return fine_style.seen_style(features, floats(pixels), STYLE_LAYERS)


def judged(features: Any, photo: Tensor, result: Tensor, wanted: Style) -> Numbers:
    """The numbers of one result, all at its own size."""
    ours = seen(features, result)
    return {
        "style_loss": round(style_measures.style_loss(ours, wanted).item(), 4),
        "distance_to_painting": round(style_measures.style_distance(ours, wanted), 4),
        "distance_to_photo": round(style_measures.style_distance(ours, seen(features, photo)), 4),
        "content_kept": round(style_measures.content_kept(floats(photo), floats(result)), 4),
        "mean_change_of_255": round((result.float() - photo.float()).abs().mean().item(), 2),
    }


def style_peers(photo: Picture, painting: Picture, side: int, folder: Path | None) -> Numbers:
    """Ours beside the plain loop with as many steps, all of them at the full size, and the same content term."""
    features, scaled = load_features(), photo.fit(side)
    works = fine_style.scaled(painting.pixels, side)
    wanted, found = seen(features, works), {}
    grams = arts_peers.grams(features(floats(works), list(STYLE_LAYERS)))

    def add(name: str, run: Callable[[], Tensor], steps: int) -> None:
        started = time.perf_counter()
        pixels = run()
        elapsed_s = time.perf_counter() - started
        ours = arts_peers.grams(features(floats(pixels), list(STYLE_LAYERS)))
        gram = arts_peers.gram_loss(ours, grams, STYLE_LAYERS).item()
        row = {"steps": steps, "seconds": round(elapsed_s, 2), "gram_loss": round(gram, 4)}
        found[name] = row | judged(features, scaled.pixels, pixels, wanted)
        save(pixels, folder, f"peer, {name}")
        print(f"{name:32} {found[name]}", flush=True)

    add("unchanged", lambda: scaled.pixels, 0)
    for content in CONTENT:
        manner = Manner(content=content)
        steps = sum(stage.steps for stage in fine_style.stages_for(side, side, manner))
        ours = FineStyle(features, [(painting.pixels, 1.0)], manner)
        add(f"clavilux, content {content}", lambda ours=ours: ours(scaled.pixels).pixels, steps)
        for optimizer in ("lbfgs", "adam"):
            term = (manner.content_layer, manner.content * fine_style.FORMS)

            def peer(term=term, steps=steps, optimizer=optimizer) -> Tensor:
                x = arts_peers.gatys(
                    features, floats(scaled.pixels), floats(works), STYLE_LAYERS, term, steps, optimizer
                )
                return Picture.from_floats(x[0]).pixels

            add(f"plain loop, {optimizer}, content {content}", peer, steps)
    return found


def dream_rows(photo: Picture, side: int, folder: Path | None) -> Numbers:
    """The activation at every octave, ours; then ours and the plain loop at the end, judged alike."""
    features, scaled, spec = load_features(), photo.fit(side), DreamSpec()
    started = time.perf_counter()
    last = dreaming(scaled)()
    ours = (time.perf_counter() - started, last.picture()[None])
    started = time.perf_counter()
    sizes = octave_sizes(side, side, spec)
    plain = arts_peers.deepdream(
        features, floats(scaled.pixels), LAYER, sizes, spec.iterations, spec.step, spec.jitter, seed=1
    )
    rows = {
        "unchanged": (0.0, floats(scaled.pixels)),
        "clavilux": ours,
        "plain loop": (time.perf_counter() - started, plain),
    }
    found: Numbers = {"octaves": [octave.as_dict() for octave in last.octaves]}
    for name, (elapsed_s, x) in rows.items():
        with torch.no_grad():
            activation = features(x, [LAYER])[LAYER].square().mean().item()
        change = x - floats(scaled.pixels)
        colors = change - change.mean(1, keepdim=True)
        rough = (colors[..., 1:] - colors[..., :-1]).abs().mean() * 127.5
        found[name] = {
            "seconds": round(elapsed_s, 2), "activation": round(activation, 4),
            "mean_change_of_255": round(change.abs().mean().item() * 127.5, 2),
            "color_noise_of_255": round(rough.item(), 3),
        }  # fmt: skip
        save(Picture.from_floats(x[0]).pixels, folder, f"dream, {name}")
        print(f"dream, {name:16} {found[name]}", flush=True)
    return found


def seams(photo: Picture, painting: Picture, side: int) -> Numbers:
    """A picture in tiles beside the same in one piece: levels of 255, at the seams and everywhere."""
    scaled, features = photo.fit(side), load_features()
    results = []
    for tile in (LARGEST_TILE, side // 2):
        manner = Manner(stages=(fine_style.Stage(side, 6),), tile=tile)
        results.append(FineStyle(features, [(painting.pixels, 1.0)], manner)(scaled.pixels).pixels)
    found = {"fine": apart(*results, edge=side // 2 - style_measures.BORDER)}
    whole, tiled = (
        Picture.from_floats(dreaming(scaled, DreamSpec(octaves=1, tile=tile))().picture()).pixels
        for tile in (LARGEST_TILE, max(side // 2, 256))
    )
    found["dream"] = apart(whole, tiled, edge=None)  # its grid moves from step to step
    print(f"tiles beside the whole, {side} px: {found}", flush=True)
    return {"side": side} | found


def apart(whole: Tensor, tiled: Tensor, edge: int | None) -> Numbers:
    """How far two pictures are apart; `edge` is where the tiles meet, in both directions."""
    change = (whole.float() - tiled.float()).abs().mean(2)
    found = {"mean": change.mean().item(), "most": change.max().item()}
    if edge is not None:
        band = torch.zeros(change.shape, dtype=torch.bool)
        band[edge - BAND : edge + BAND] = band[:, edge - BAND : edge + BAND] = True
        found |= {"mean_at_seams": change[band].mean().item()}
        for name, pixels in (("whole", whole), ("tiled", tiled)):
            steps = (pixels[1:].float() - pixels[:-1].float()).abs().mean((1, 2))
            found[f"step_across_{name}"] = steps[edge - 1].item()
            found[f"step_elsewhere_{name}"] = steps.mean().item()
    return {name: round(value, 3) for name, value in found.items()}


def content_scale(photos: dict[str, Picture], paintings: dict[str, Picture]) -> Numbers:
    """`content_kept` of what needs no style: a photograph and itself, blurred, another one, and each painting."""
    (name, photo), (other_name, other) = list(photos.items())[:2]
    photo, other = photo.fit(512), other.fit(512)
    rows = {"itself": photo, "other photograph": other}
    rows |= {f"1/{by} of the size and back": photo.fit(512 // by).fit(512) for by in (4, 16)}
    rows |= {painting: picture.fit(512) for painting, picture in paintings.items()}
    before = floats(photo.pixels)
    found = {n: round(style_measures.content_kept(before, floats(x.pixels)), 4) for n, x in rows.items()}
    print(f"content kept of {name} (the other is {other_name}): {found}", flush=True)
    return {"photo": name, "other": other_name} | found
