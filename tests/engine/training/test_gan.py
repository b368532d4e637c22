"""The GAN's learner: both kinds of samples, what a step depends on, going on from a state, files, a game won."""

import numpy as np
import pytest
import torch

from clavilux.image.latents import gan_files
from clavilux.image.latents.files import LoadedVAE
from clavilux.image.latents.gan import DiscriminatorSpec, GeneratorSpec
from clavilux.image.latents.statistics import statistics_of
from clavilux.image.latents.vae import VAE, VAESpec, to_pixels
from clavilux.training import gan
from clavilux.training.gan import GANLearner, GANTraining, LatentSamples, PixelSamples
from clavilux.training.gan_game import Game, GameSpec
from clavilux.training.picture_folder import PictureFolder
from clavilux.training.picture_run import STATE, Limits, PictureRun

SMALL = GANTraining(batch=4)


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    monkeypatch.setattr(gan, "LATENT_TOWERS", (8, 6))
    monkeypatch.setattr(gan, "PIXEL_TOWERS", (8, 6))
    monkeypatch.setattr(gan, "MEASURED", 8)
    monkeypatch.setattr(gan, "SHOWN", 4)
    monkeypatch.setattr("clavilux.training.picture_run.draw_curves", lambda lines, path: None)


def folder(count=12, size=16, classes=("cat", "dog")):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    files = tuple(f"{number}.png" for number in range(count))
    return PictureFolder(pixels, np.arange(count) % len(classes), np.arange(count) < 4, classes, files, (), "listing")


@pytest.fixture(scope="module")
def loaded():
    """A VAE of 64 px with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = VAE(VAESpec(64, 4, (8, 8), (8, 8, 8), (1, 1), (1, 1, 1), 4)).requires_grad_(False)
    pixels = to_pixels(torch.from_numpy(folder(size=64).pixels))
    return LoadedVAE(vae, statistics_of(vae.encode(pixels).mean), {}, "a fingerprint")


def learner(kind, loaded, training=SMALL, classes=("cat", "dog")):
    return GANLearner(
        folder(12, 64 if kind == "latents" else 16, classes), training, loaded if kind == "latents" else None
    )


def copied(state):
    return {name: tensor.clone() for name, tensor in state.items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_latents_are_drawn_of_what_the_vae_says(loaded):
    pictures = folder(size=64)
    samples = LatentSamples(pictures, loaded, GANTraining(mirror=False), torch.device("cpu"))
    rows = np.array([3, 7])
    posterior = loaded.vae.encode(to_pixels(torch.from_numpy(pictures.pixels[rows])))
    mean, scale, _ = loaded.statistics
    assert (samples.plain(rows) - (posterior.mean - mean) / scale).abs().max() < 2e-2  # kept in float16
    drawn = torch.stack([samples(rows, torch.Generator().manual_seed(seed)) for seed in range(400)])
    wanted = (0.5 * posterior.log_variance).exp() / scale
    assert (drawn.std(0) / wanted).median().item() == pytest.approx(1, abs=0.05)
    assert ((drawn.mean(0) - samples.plain(rows)).abs() < 0.3 * wanted + 2e-2).all()


def test_half_of_what_is_shown_is_mirrored(loaded):
    pictures, random = folder(size=64), torch.Generator().manual_seed(0)
    rows = np.full(200, 5)
    pixels = PixelSamples(pictures, SMALL)
    plain, shown = pixels.plain(rows), pixels(rows, random)
    mirrored = (shown == plain.flip(3)).flatten(1).all(1)
    assert ((shown == plain).flatten(1).all(1) ^ mirrored).all() and 60 < mirrored.sum() < 140
    assert torch.equal(PixelSamples(pictures, GANTraining(mirror=False))(rows, random), plain)
    latents = LatentSamples(pictures, loaded, SMALL, torch.device("cpu"))
    flipped = PictureFolder(pictures.pixels[..., ::-1].copy(), *list(vars(pictures).values())[1:])
    other = LatentSamples(flipped, loaded, SMALL, torch.device("cpu"))
    shown = latents(rows, random)
    nearer = (shown - latents.plain(rows)).flatten(1).norm(dim=1) < (shown - other.plain(rows)).flatten(1).norm(dim=1)
    assert 60 < nearer.sum() < 140


@pytest.mark.parametrize("kind", ["latents", "pixels"])
def test_a_step_follows_from_the_state_its_number_and_the_seed(kind, loaded):
    one = learner(kind, loaded)
    for number in range(3):
        one.step(number)
    state = copied(one.state())
    losses = one.step(3)
    other = learner(kind, loaded)
    other.load(copied(state))
    torch.manual_seed(77)  # whatever else is drawn does not matter
    other.sheet()
    other.measure()
    assert other.step(3) == losses and same(one.state(), other.state())
    another = learner(kind, loaded, GANTraining(batch=4, seed=1))
    another.load(copied(state))
    assert another.step(3) != losses


@pytest.mark.parametrize("kind", ["latents", "pixels"])
def test_a_run_that_was_stopped_writes_the_same_state(kind, loaded, tmp_path):
    written = []
    for name, stops in (("whole", (6,)), ("parts", (2, 3, 6))):
        place = tmp_path / name
        place.mkdir()
        for steps in stops:
            run = PictureRun(place, learner(kind, loaded), {"kind": "gan"})
            run.go(Limits(steps=steps, checkpoint_steps=2))
        written.append((place / STATE).read_bytes())
        made = gan_files.load_gan(place / "checkpoint")
        assert made.config["training"]["steps"] == 6 and made.classes == ("cat", "dog")
    assert written[0] == written[1]


def test_what_is_exported_is_the_averaged_generator_with_the_decoder(loaded, tmp_path):
    one = learner("latents", loaded, classes=("",))
    for number in range(2):
        one.step(number)
    before = copied(one.state())
    one.export(tmp_path / "out", {"steps": 2})
    assert same(before, one.state())
    found = gan_files.load_gan(tmp_path / "out")
    assert found.classes == () and VAESpec.from_dict(found.config["decoder"]) == loaded.vae.spec
    z = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    pixels = found.model(found.model.generator.styles(z))
    wanted = one.model(one.game.averaged.styles(z))
    assert pixels.shape == (3, 3, 64, 64)
    assert (pixels - wanted).abs().max() < 0.02 * wanted.abs().max()  # float16 weights
    assert found.model.generator.mean_style.abs().sum() > 0


def test_the_measures_change_nothing_and_follow_from_the_state(loaded):
    one = learner("latents", loaded)
    one.step(0)
    before = copied(one.state())
    assert one.measure() == one.measure() and same(before, one.state())
    assert set(one.measure()) == {"overfitting"}  # without Lite0 no KID is measured


def test_a_size_that_no_gan_makes_is_refused(loaded):
    with pytest.raises(ValueError, match="samples have 12 places a side; it should be one of 8, 16"):
        gan.specs(8, 12, 0, pixels=False)


def game(seed, steps, augmented_over=0):
    """A game whose real samples are all-bright or all-dark maps, after so many steps."""
    sizes = {"channels": 1, "towers": (8,), "blocks": (1,), "patch": 1}
    spec = GameSpec(batch=16, rate=3e-3, augmented_over=augmented_over, half_life=500, seed=seed)

    def draw(number, random):
        bright = torch.randint(2, (16, 1, 1, 1), generator=random) * 2.0 - 1
        return bright + 0.1 * torch.randn(16, 1, 4, 4, generator=random), None

    held_out = draw(0, torch.Generator().manual_seed(9))
    made = Game(GeneratorSpec(**sizes, noise=4, width=8), DiscriminatorSpec(**sizes, features=8), spec, draw, held_out)
    for number in range(steps):
        made.step(number)
    return made


def test_a_game_teaches_the_averaged_generator_what_is_real():
    made = game(seed=0, steps=300)
    found = made.samples(torch.randn(256, 4, generator=torch.Generator().manual_seed(1)))
    level, spread = found.mean((1, 2, 3)), found.std((1, 2, 3))
    assert ((level.abs() - 1).abs() < 0.4).float().mean() > 0.7
    assert 0.2 < (level > 0).float().mean() < 0.8
    assert spread.median() < 0.4


def test_augmentation_rises_with_what_is_learned_by_heart(monkeypatch):
    monkeypatch.setattr("clavilux.training.gan_game.overfitting", lambda *logits: 0.9)
    assert game(0, 17, augmented_over=16 * 100).probability == pytest.approx(3 * 8 / 100)
    assert game(0, 17).probability == 0
    monkeypatch.setattr("clavilux.training.gan_game.overfitting", lambda *logits: 0.1)
    assert game(0, 17, augmented_over=16 * 100).probability == 0
