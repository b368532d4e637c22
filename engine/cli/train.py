"""The `train` commands: a generator of one's own from a folder of pictures.

Knows arguments, and what is said while a run goes on; how it runs is `clavilux.training.picture_run`'s. torch is
imported inside a command only, so that `--help` is instant.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clavilux.checks import number_from, whole_number
from clavilux.cli.help import Command
from clavilux.cli.options import AsJson, Device, Quiet, check_apart, note_written
from clavilux.files import check_target

if TYPE_CHECKING:
    from clavilux.image.latents.files import LoadedVAE
    from clavilux.image.picture import Picture
    from clavilux.training.picture_folder import PictureFolder
    from clavilux.training.picture_run import Learner, Measured

LARGEST_SIZE = 256
PIXEL_SIZE, PIXEL_SIZES = 64, (8, 16, 32, 64, 128)  # of GANs without a VAE
ENDED = {
    "minutes": "its time is over; the same command goes on",
    "steps": "its steps are taken; more --steps go on",
    "no better": "it got no better on the pictures that are held out",
    "stopped": "it was stopped; the same command goes on",
}

Folder = Annotated[Path, typer.Argument(help="Pictures; subfolders are classes.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="The run's folder; one that is there goes on.")]
HeldOut = Annotated[Path | None, typer.Option(help="A folder to measure with.  [default: a tenth of the pictures]")]
Minutes = Annotated[float, typer.Option(help="How long this call trains.")]
Steps = Annotated[int | None, typer.Option(help="End when the run has taken so many, if that is earlier.")]
Seed = Annotated[int | None, typer.Option(help="Of all that is drawn.  [default: 0]")]
Name = Annotated[
    str | None, typer.Option(help="What its checkpoints call themselves.  [default: the name of the run's folder]")
]
Licence = Annotated[str | None, typer.Option(help="Of its weights, as its checkpoints state it.")]
Preview = Annotated[Path | None, typer.Option(help="A picture file with samples, new every half minute.")]
Patience = Annotated[int, typer.Option(help="End after so many measures without a better one.")]
CheckpointSteps = Annotated[
    int | None, typer.Option(help="Measure and write a state every so many steps.  [default: some minutes of them]")
]

train = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Train a generator of your own on a folder of pictures."
)


@train.command(cls=Command)
def vae(
    ctx: typer.Context,
    folder: Folder,
    output: Output,
    size: Annotated[int | None, typer.Option(help="Pixels a side, such as 64 or 128.  [default: 64]")] = None,
    minutes: Minutes = 60.0,
    steps: Steps = None,
    held_out: HeldOut = None,
    seed: Seed = None,
    batch: Annotated[int | None, typer.Option(help="Pictures a step.  [default: 16]")] = None,
    rate: Annotated[float | None, typer.Option(help="Of learning.  [default: 0.002]")] = None,
    latent_channels: Annotated[
        int | None, typer.Option(help="Numbers that stand for 8 x 8 pixels.  [default: 8]")
    ] = None,
    kl_weight: Annotated[
        float | None, typer.Option(help="Of the KL term; more is smoother and blurrier.  [default: 1]")
    ] = None,
    free_bits: Annotated[
        float | None, typer.Option(help="Of each latent number that cost nothing.  [default: 0.05]")
    ] = None,
    perceptual: Annotated[
        float | None,
        typer.Option(help="Weight of what a classifier sees.  [default: 2 with the extra arts, else 0]"),
    ] = None,
    augment: Annotated[
        bool | None,
        typer.Option("--augment/--no-augment", help="Mirror, shift and recolor pictures.  [default: augment]"),
    ] = None,
    checkpoint_steps: CheckpointSteps = None,
    patience: Patience = 12,
    preview: Preview = None,
    name: Name = None,
    licence: Licence = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    device: Device = "auto",
) -> None:
    """Train a VAE: pictures to latents and back, and new ones from random latents."""
    _check_limits(minutes, steps, checkpoint_steps, patience)
    _check_files(folder, output, preview)
    given = {
        "kind": "vae", "size": size, "latent_channels": latent_channels, "batch": batch, "rate": rate,
        "kl_weight": kl_weight, "free_bits": free_bits, "perceptual": perceptual, "augment": augment, "seed": seed,
    }  # fmt: skip
    _check_vae(given)

    from clavilux.image.arts.features import load_features
    from clavilux.image.latents.vae import VAESpec
    from clavilux.precision import device_named
    from clavilux.training.picture_run import settled
    from clavilux.training.vae import VAELearner, VAETraining, usual_settings

    where = device_named(device)
    settings = settled(output, given, usual_settings())
    how = VAETraining(**{name: settings[name] for name in settings if name in VAETraining.__dataclass_fields__})
    spec = VAESpec(size=settings["size"], latent_channels=settings["latent_channels"])
    features = load_features(device=where) if how.perceptual else None

    def learner(pictures: PictureFolder) -> Learner:
        return VAELearner(pictures, spec, how, where, features, name or output.resolve().name, licence)

    limits = {"minutes": minutes, "steps": steps, "patience": patience, "checkpoint_steps": checkpoint_steps}
    _run(ctx, (folder, output, held_out), settings, limits, learner, preview, as_json, quiet)


@train.command(cls=Command)
def gan(
    ctx: typer.Context,
    folder: Folder,
    output: Output,
    vae: Annotated[
        Path | None, typer.Option(help="The VAE whose latents are made: its run or checkpoint.  [default: the bundled]")
    ] = None,
    pixels: Annotated[
        bool | None, typer.Option("--pixels", help="Make pixels, without a VAE, by the non-saturating game of 2014.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="With --pixels: 8, 16, 32, 64 or 128 a side.  [default: 64]")] = None,
    minutes: Minutes = 60.0,
    steps: Steps = None,
    held_out: HeldOut = None,
    seed: Seed = None,
    batch: Annotated[int | None, typer.Option(help="Pictures a step.  [default: 32]")] = None,
    rate: Annotated[float | None, typer.Option(help="Of learning, of both players.  [default: 0.001]")] = None,
    penalty: Annotated[
        float | None, typer.Option(help="Gamma of R1 and R2: more is steadier and slower.  [default: 1]")
    ] = None,
    mirror: Annotated[
        bool | None, typer.Option("--mirror/--no-mirror", help="Show every other picture mirrored.  [default: mirror]")
    ] = None,
    augment: Annotated[
        bool | None,
        typer.Option(
            "--augment/--no-augment",
            help="Change what the discriminator sees as far as it learns pictures by heart.  [default: augment]",
        ),
    ] = None,
    checkpoint_steps: CheckpointSteps = None,
    preview: Preview = None,
    name: Name = None,
    licence: Licence = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    device: Device = "auto",
) -> None:
    """Train a GAN: two players, one of whom makes pictures from noise."""
    _check_limits(minutes, steps, checkpoint_steps, 1)
    _check_files(folder, output, preview)
    given = {
        "kind": "gan", "pixels": pixels, "size": size, "batch": batch, "rate": rate, "penalty": penalty,
        "mirror": mirror, "augment": augment, "seed": seed,
    }  # fmt: skip
    _check_gan(given, vae)

    from clavilux.cli import display
    from clavilux.precision import device_named
    from clavilux.training import gan as training
    from clavilux.training.picture_run import saved_settings, settled

    where = device_named(device)
    saved = saved_settings(output) or {}
    if saved.get("kind", "gan") != "gan":
        raise ValueError(f"the run in {str(output)!r} trains a {saved['kind']}; give another folder to train a GAN in")
    if saved.get("pixels", pixels):
        loaded, usual = None, {"size": PIXEL_SIZE}
    else:
        loaded, usual = _vae_of(vae or saved.get("vae"))
        training.specs(*loaded.vae.spec.latent_shape[:2], 0, pixels=False)  # refuses other sizes
        given["vae_sha256"] = usual["vae_sha256"]
    settings = settled(output, given, training.usual_settings(loaded is None) | usual)
    how = training.GANTraining(
        relativistic=loaded is not None,
        **{each: settings[each] for each in ("batch", "rate", "penalty", "mirror", "augment", "seed")},
    )
    features = training.features_if_there(where)

    def learner(pictures: PictureFolder) -> Learner:
        made = training.GANLearner(pictures, how, loaded, where, features, name or output.resolve().name, licence)
        if features is None and not (quiet or as_json):
            display.show_remarks(['KID is not measured; what it looks through is in pip install "clavilux[arts]"'])
        return made

    limits = {"minutes": minutes, "steps": steps, "checkpoint_steps": checkpoint_steps}
    _run(ctx, (folder, output, held_out), settings, limits, learner, preview, as_json, quiet)


def _check_limits(minutes: float, steps: int | None, checkpoint_steps: int | None, patience: int) -> None:
    number_from("--minutes", minutes, 0.01, 100_000)
    whole_number("--patience", patience, 1, 10**6)
    for name, value in (("--steps", steps), ("--checkpoint-steps", checkpoint_steps)):
        if value is not None:
            whole_number(name, value, 1, 10**9)


def _check_files(folder: Path, output: Path, preview: Path | None) -> None:
    """Refuse before torch is imported what is known to be wrong."""
    from clavilux.image import io

    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is not there"
        raise ValueError(f"the folder {str(folder)!r} {what}; give one with pictures in it")
    check_apart([output], [folder])
    if not output.exists():
        check_target(output)
    if preview is not None:
        io.format_of(preview)
        check_target(preview)


def _check_vae(given: Mapping[str, Any]) -> None:
    """Refuse settings that no VAE is trained with."""
    size = given["size"]
    if size is not None and (whole_number("--size", size, 16, LARGEST_SIZE) % 8):
        raise ValueError(f"--size is {size}; it should be a multiple of 8, such as 64 or 128")
    _check_numbers(
        given,
        {"latent_channels": (1, 64), "batch": (1, 1024), "seed": (0, 2**63 - 1)},
        {"rate": (1e-6, 0.1), "kl_weight": (0, 1000), "free_bits": (0, 8), "perceptual": (0, 1000)},
    )


def _check_gan(given: Mapping[str, Any], vae: Path | None) -> None:
    """Refuse settings that no GAN is trained with."""
    if given["pixels"] and vae is not None:
        raise ValueError("--pixels makes pixels without a VAE; leave --vae out, or --pixels")
    if given["size"] is not None and not given["pixels"]:
        raise ValueError("--size goes with --pixels; in latents the pictures have the VAE's size")
    if given["size"] is not None and given["size"] not in PIXEL_SIZES:
        raise ValueError(f"--size is {given['size']}; it should be one of {', '.join(map(str, PIXEL_SIZES))}")
    _check_numbers(
        given,
        {"batch": (2, 1024), "seed": (0, 2**63 - 1)},
        {"rate": (1e-6, 0.1), "penalty": (0, 1000)},
    )


def _check_numbers(
    given: Mapping[str, Any], whole: Mapping[str, tuple[int, int]], others: Mapping[str, tuple[float, float]]
) -> None:
    """Refuse numbers out of (least, most), where they are given."""
    for name, (least, most) in whole.items():
        if given[name] is not None:
            whole_number(_option(name), given[name], least, most)
    for name, (floor, top) in others.items():
        if given[name] is not None:
            number_from(_option(name), given[name], floor, top)


def _vae_of(place: str | Path | None) -> tuple[LoadedVAE, dict[str, Any]]:
    """A VAE and what a run notes of it: of a checkpoint, of a run, or the bundled one.

    Raises:
        CheckpointError: there is none.
    """
    from clavilux.checkpoint import PRETRAINED
    from clavilux.image.latents.files import load_vae

    folder = PRETRAINED / "vae" if place is None else Path(place)
    if not (folder / "config.json").exists() and (folder / "checkpoint").is_dir():
        folder = folder / "checkpoint"
    loaded = load_vae(folder)
    named = {"size": loaded.vae.spec.size, "vae_sha256": loaded.fingerprint}
    return loaded, named | {"vae": None if place is None else str(folder.absolute())}


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _run(
    ctx: typer.Context,
    places: tuple[Path, Path, Path | None],
    settings: dict[str, Any],
    limits: dict[str, Any],
    learner: Any,
    preview: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train in the run's folder and say how it goes.

    Args:
        places: the pictures, the run's folder, and pictures that are held out.
        settings: of the run.
        limits: of `picture_run.Limits`.
        learner: makes a `Learner` of a `PictureFolder`.
        preview: a picture file.
    """
    from clavilux.cli import display
    from clavilux.training.picture_folder import pictures_of_run
    from clavilux.training.picture_run import Limits, PictureRun, Watch, held

    folder, output, held_out = places
    started = time.perf_counter()
    said = quiet or as_json
    with held(output) as place:
        with display.share_bar(hidden=said) as progress:
            pictures = pictures_of_run(place / "pictures.npz", folder, settings["size"], held_out, progress)
        if not said:
            display.show_remarks(remarks_on(pictures))
        run = PictureRun(place, learner(pictures), settings)
        first = run.step

        def report(line: Measured) -> None:
            if not said:
                typer.echo(line_of(line))

        def show(sheet: Picture) -> None:
            if preview is not None:
                sheet.save(preview)

        with display.share_bar(hidden=said) as progress:
            last = run.go(Limits(**limits), Watch(progress, report, show if preview is not None else None))
    note_written(ctx, output)
    if run.ended == "stopped":
        raise KeyboardInterrupt  # says what was written, and ends as Ctrl-C does
    facts = {
        "run": str(output), "checkpoint": str(output / "checkpoint"), "ended": ENDED[run.ended], "steps": run.step,
        "steps_a_second": round((run.step - first) / max(run.stepping_s, 1e-9), 3), "held_out": last.held_out,
        "best": run.best_line.held_out | {"step": run.best_line.step} if run.log and run.learner.best else {},
        "pictures": {
            "learned_from": len(pictures.taught), "held_out": len(pictures.unseen), "classes": len(pictures.classes),
            "skipped": [each._asdict() for each in pictures.skipped],
        },
        "elapsed_s": round(time.perf_counter() - started, 3),
    }  # fmt: skip
    if as_json:
        display.print_json(facts | {"settings": settings})
    elif not quiet:
        display.show_facts({name: value for name, value in facts.items() if name != "pictures" and value != {}})


def remarks_on(pictures: PictureFolder) -> list[str]:
    """How many pictures there are, and which files are none, a line each."""
    classes = f" in {len(pictures.classes)} classes" if len(pictures.classes) > 1 else ""
    counts = f"{len(pictures.taught):,} pictures{classes} to learn from, {len(pictures.unseen):,} held out"
    return [counts, *(f"skipped {each.file}: {each.reason}" for each in pictures.skipped)]


def line_of(line: Measured) -> str:
    """A line of the curves as a sentence."""
    values = ", ".join(f"{name.replace('_', ' ')} {_written(value)}" for name, value in line.held_out.items())
    return f"step {line.step:,}, {line.seconds / 60:.1f} min: {values}"


def _written(value: float) -> str:
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4g}"
