"""The mark in pixels: found in what was saved again, enlarged, cut and tiled, and not where it is not."""

import io

import numpy as np
import pytest
import torch
from drawings import drawing
from PIL import Image

import clavilux
from clavilux import verifying
from clavilux.image.animation import write_animation
from clavilux.image.picture import Picture
from clavilux.image.pixel_mark import marked
from clavilux.image.sheet import contact_sheet
from clavilux.mark_key import PUBLIC, MarkKey, new_key
from clavilux.marking import PAINTED_KIND
from clavilux.provenance.mark_pixels import find_in_pixels
from clavilux.provenance.stamp import stamp_of

KEY = MarkKey(bytes(range(32)))


def painted(seed=3, key=PUBLIC):
    return Picture(marked(drawing(seed).pixels, key.word(PAINTED_KIND)))


def found(picture, key=PUBLIC):
    return find_in_pixels(picture, [key], 64)[0]


def saved_again(picture, **how):
    file = io.BytesIO()
    Image.fromarray(picture.pixels.numpy()).save(file, **how)
    return Picture(np.array(Image.open(file).convert("RGB")))


def test_tokens_are_read_only_where_the_pixels_do_not_say_all(tmp_path, monkeypatch):
    """And counted all the same."""
    monkeypatch.setattr(verifying, "_loaded", lambda name: pytest.fail("lumia is loaded"))
    painted().save(tmp_path / "a.png")
    [mark] = clavilux.verify(tmp_path / "a.png").marks
    assert mark.p == pytest.approx(2 * found(painted()).p)
    new_key(tmp_path / "own.key")
    with pytest.raises(pytest.fail.Exception, match="lumia is loaded"):
        clavilux.verify(tmp_path / "a.png", mark_key=tmp_path / "own.key")


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ".gif"])
def test_a_picture_saved_again_has_lost_its_credentials_and_kept_its_mark(tmp_path, monkeypatch, ending):
    monkeypatch.setenv("CLAVILUX_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CLAVILUX_CREDENTIALS", "1")
    signed, again = tmp_path / f"signed{ending}", tmp_path / f"again{ending}"
    pixels, receipt = painted().pixels, {"model": "toy", "seed": 3}
    if ending == ".gif":
        with write_animation(signed, 5, receipt, stamp=stamp_of()) as animation:
            animation.add(pixels)
    else:
        Picture(pixels, receipt=receipt, stamp=stamp_of()).save(signed)
    with Image.open(signed) as image:
        image.convert("RGB").save(again)
    assert clavilux.verify(signed).credentials.state == "valid"
    verdict = clavilux.verify(again)
    [mark] = verdict.marks
    assert verdict.credentials.state == "absent" and mark.key == PUBLIC.id
    assert mark.p < 1e-6 and mark.of == "blocks" and 500 < mark.tokens <= 1024
    assert verdict.says.startswith("credentials gone, mark found") and f"(p = {mark.p:.2g})" in verdict.says


@pytest.mark.parametrize(
    "changed",
    [
        lambda picture: saved_again(picture, format="JPEG", quality=75),
        lambda picture: picture.resized(256, 256),
        lambda picture: saved_again(picture.resized(256, 256), format="JPEG", quality=75),
        lambda picture: saved_again(picture.resized(150, 150), format="JPEG", quality=75),
        lambda picture: Picture(picture.pixels[6:, 6:]),
        lambda picture: Picture(picture.resized(192, 192).pixels[20:, 50:170]),
        lambda picture: Picture(picture.pixels.flip(1)),
        lambda picture: Picture((picture.pixels * torch.tensor([1.0, 0.95, 0.85])).byte()),
    ],
)
def test_it_outlives_what_programs_do(changed):
    picture = changed(painted())
    assert found(picture).p < 1e-6 and found(picture, KEY).p > 1e-3


@pytest.mark.parametrize("size", [32, 256])
def test_pictures_of_other_sizes_have_it_too(size):
    picture = Picture(marked(drawing(2, size, size).pixels, KEY.word(PAINTED_KIND)))
    assert found(picture, KEY).p < 1e-6 and found(picture).p > 1e-3


@pytest.mark.parametrize("enlarged", [1, 2, 4])
def test_the_tiles_of_a_sheet_are_found_together(enlarged):
    noise = torch.from_numpy(np.random.default_rng(0).integers(-20, 21, (8, 64, 64, 1)))
    tiles = [Picture((painted(seed).pixels + noise[seed]).clamp(0, 255).byte()) for seed in range(8)]
    alone = [found(tile).p for tile in tiles]
    sheet = contact_sheet(tiles, 4, labels=list("abcdefgh"))
    assert found(sheet.resized(sheet.width * enlarged, sheet.height * enlarged)).p < min(alone) ** 2


def test_p_values_of_wrong_keys_are_bounds_on_any_picture():
    noise = np.random.default_rng(1).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    stripes = np.tile(np.array([[0, 255], [255, 0]], np.uint8).repeat(2, 0).repeat(2, 1)[..., None], (20, 24, 3))
    dot = np.full((64, 64, 3), 255, np.uint8)
    dot[30, 30] = 0
    pictures = [drawing(0), saved_again(drawing(1), format="JPEG", quality=50), painted(2, KEY), Picture(noise)]
    pictures += [Picture(stripes), Picture(dot), drawing(4).resized(150, 150)]
    keys = [MarkKey(bytes([number, 7] * 16)) for number in range(60)]
    ps = np.array([[mark.p for mark in find_in_pixels(picture, keys, 64)] for picture in pictures])
    assert ps.min() > 1e-4
    for level in (0.5, 0.1, 0.03):
        assert (ps <= level).mean() <= level


@pytest.mark.parametrize("shape", [(1, 1), (16, 20), (400, 300)])
def test_what_is_small_or_plain_is_not_enough_evidence(shape):
    plain = Picture(marked(torch.full((*shape, 3), 255, dtype=torch.uint8), PUBLIC.word(PAINTED_KIND)))
    assert found(plain).enough is (min(shape) > 22)
    assert not found(Picture(torch.full((*shape, 3), 255, dtype=torch.uint8))).enough
