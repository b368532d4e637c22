"""Pictures and their files: what is read and how, what is written, the receipt, and what is refused."""

import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

from clavilux.image import io
from clavilux.image.picture import Picture
from clavilux.image.sheet import contact_sheet

RECEIPT = {"seed": 3, "model": "toy", "settings": {"guidance": 4.0}, "prompt": "rød æble 🍎"}


def pixels_of(path):
    return torch.from_numpy(io.read(path).pixels)


@pytest.fixture
def picture():
    pixels = torch.randint(256, (6, 9, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return Picture(pixels, torch.arange(6)[None], dict(RECEIPT))


@pytest.mark.parametrize("ending", io.FORMATS)
def test_files_keep_size_and_receipt(picture, tmp_path, ending):
    path = tmp_path / f"a{ending.upper()}"
    picture.save(path)
    again = Picture.load(path)
    assert (again.width, again.height, again.receipt, again.tokens) == (9, 6, RECEIPT, None)
    if ending == ".png":
        assert torch.equal(again.pixels, picture.pixels)
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


def test_the_same_picture_gives_the_same_bytes(picture):
    assert io.encode(picture.pixels, ".png", receipt=RECEIPT) == io.encode(picture.pixels, ".png", receipt=RECEIPT)


def test_strangers_texts_are_no_receipt(tmp_path):
    from PIL import PngImagePlugin

    for text in ("hello", "[1]", "{", "[" * 100000):
        info = PngImagePlugin.PngInfo()
        info.add_text("clavilux", text)
        Image.new("RGB", (2, 2)).save(tmp_path / "a.png", pnginfo=info)
        assert io.read(tmp_path / "a.png").receipt == {}


def test_every_kind_of_pixel_becomes_rgb(tmp_path):
    """Palette, grey, one bit, alpha, CMYK and 16 bits a channel."""
    rgb = np.zeros((2, 4, 3), np.uint8)
    rgb[:, 2:] = (255, 0, 0)
    plain = Image.fromarray(rgb)
    alpha = plain.convert("RGBA")
    alpha.putalpha(Image.fromarray(np.array([[255, 0, 128, 255]] * 2, np.uint8)))
    see_through = plain.quantize(2)
    see_through.info["transparency"] = see_through.getpixel((0, 0))
    grey = Image.fromarray(np.array([[0, 77, 200, 255]] * 2, np.uint8))
    deep = Image.fromarray(np.array([[0, 77, 200, 255]] * 2, np.uint16) * 257)
    made = {
        "rgb.png": plain, "palette.png": plain.quantize(2), "alpha.png": alpha, "see.png": see_through,
        "grey.png": grey, "deep.png": deep, "bit.png": grey.convert("1", dither=Image.Dither.NONE),
        "cmyk.tif": plain.convert("CMYK"),
    }  # fmt: skip
    found = {}
    for name, image in made.items():
        image.save(tmp_path / name)
        found[name] = pixels_of(tmp_path / name)
        assert found[name].shape == (2, 4, 3) and found[name].dtype == torch.uint8
    for name in ("palette.png", "cmyk.tif"):
        assert torch.equal(found[name], torch.from_numpy(rgb)), name
    assert found["alpha.png"][0].tolist() == [[0, 0, 0], [255, 255, 255], [255, 127, 127], [255, 0, 0]]
    assert found["see.png"][0].tolist() == [[255, 255, 255]] * 2 + [[255, 0, 0]] * 2
    assert torch.equal(found["deep.png"], found["grey.png"]) and found["grey.png"][0, :, 0].tolist() == [
        0,
        77,
        200,
        255,
    ]
    assert found["bit.png"][0, :, 1].tolist() == [0, 0, 255, 255]


def test_orientation_and_animations(tmp_path):
    image = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    image.save(tmp_path / "turned.png", exif=exif)
    expected = torch.from_numpy(np.rot90(np.asarray(image), -1).copy())
    assert torch.equal(pixels_of(tmp_path / "turned.png"), expected)
    frames = [Image.new("RGB", (3, 3), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert pixels_of(tmp_path / "a.gif")[0, 0].tolist() == [255, 0, 0]


def test_what_cannot_be_read(tmp_path, monkeypatch):
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    monkeypatch.setattr(io, "MOST_PIXELS", 1000)
    with pytest.raises(ValueError, match="has more pixels than the 1,000 that are read"):
        pixels_of(tmp_path / "a.png")
    for path, message in ((tmp_path, "is a folder"), (tmp_path / "no.png", "there is no file")):
        with pytest.raises(ValueError, match=message):
            pixels_of(path)


@pytest.mark.parametrize("kept", [10, 40])
def test_a_truncated_file(tmp_path, kept):
    noise = np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)
    for ending in ("png", "jpg", "webp"):
        path = tmp_path / f"a.{ending}"
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(ValueError, match=r"a\.(png|jpg|webp)"):
            io.read(path)


def test_what_cannot_be_written(picture, tmp_path, monkeypatch):
    for name, message in (
        ("a.gif", "has the ending '.gif'; a picture is saved as .png, .jpg, .jpeg, .webp"),
        ("a", "has no ending"),
        ("none/a.png", "there is no folder"),
    ):
        with pytest.raises(ValueError, match=message):
            picture.save(tmp_path / name)
    (tmp_path / "b.png").mkdir()
    with pytest.raises(ValueError, match="not a regular file"):
        picture.save(tmp_path / "b.png")
    with pytest.raises(ValueError, match="receipt of at most 65000 bytes"):
        io.write_picture(tmp_path / "a.jpg", picture.pixels, receipt={"prompt": "x" * 70000})
    with pytest.raises(TypeError, match="plain JSON"):
        io.write_picture(tmp_path / "a.png", picture.pixels, receipt={"seed": {1}})
    with pytest.raises(ValueError, match="holds at most 16383 pixels"):
        io.write_picture(tmp_path / "a.webp", torch.zeros(1, 20000, 3, dtype=torch.uint8))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left on device; nothing was saved"):
        picture.save(tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["b.png"]


def test_floats_and_back():
    levels = torch.arange(256).repeat(3, 1, 1) / 127.5 - 1  # [3, 1, 256]
    picture = Picture.from_floats(levels)
    assert torch.equal(picture.pixels[0, :, 0], torch.arange(256, dtype=torch.uint8))
    torch.testing.assert_close(picture.to_floats(), levels)
    assert Picture.from_floats(torch.full((3, 1, 1), 9.0)).pixels.eq(255).all()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Picture([[1]]), TypeError, "not a list"),
        (lambda: Picture(torch.zeros(2, 2, 3)), TypeError, "from_floats takes floats"),
        (lambda: Picture(torch.zeros(2, 2, dtype=torch.uint8)), ValueError, r"\[H, W, 3\]"),
        (lambda: Picture(torch.zeros(2, 0, 3, dtype=torch.uint8)), ValueError, "at least 1"),
        (lambda: Picture(torch.zeros(1, 1, 3, dtype=torch.uint8), torch.zeros(3)), TypeError, "Tokens"),
        (lambda: Picture(torch.zeros(1, 1, 3, dtype=torch.uint8), torch.arange(3)), ValueError, "Tokens"),
        (lambda: Picture.from_floats(torch.full((3, 1, 1), torch.nan)), ValueError, "NaN"),
        (lambda: Picture.from_floats(torch.zeros(1, 1, 3)), ValueError, r"\[3, H, W\]"),
        (lambda: Picture.from_floats(torch.zeros(3, 1, 1).byte()), TypeError, "floats"),
        (lambda: Picture(torch.zeros(1, 1, 3, dtype=torch.uint8)).fit(0), ValueError, "from 1 to 8192"),
    ],
)
def test_what_is_no_picture(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_fit_takes_the_middle_square(picture):
    fitted = picture.fit(6)
    assert (fitted.width, fitted.height, fitted.receipt, fitted.tokens) == (6, 6, RECEIPT, None)
    stripes = Picture(torch.tensor([0, 9, 9, 0], dtype=torch.uint8).view(1, 4, 1).expand(2, 4, 3).contiguous())
    assert stripes.fit(2).pixels.eq(9).all()


def test_notebooks_show_it(picture):
    assert picture._repr_png_().startswith(b"\x89PNG") and repr(picture) == "Picture(9 x 6, tokens)"


def test_a_sheet(picture):
    others = [Picture(torch.full((6, 9, 3), n, dtype=torch.uint8), receipt={"seed": n}) for n in range(4)]
    sheet = contact_sheet([picture, *others], gap=2)
    assert (sheet.width, sheet.height) == (2 + 3 * 11, 2 + 2 * 8)
    assert torch.equal(sheet.pixels[2:8, 2:11], picture.pixels)
    assert sheet.pixels[10:16, 13:22].eq(3).all() and sheet.pixels[10:, 24:].eq(255).all()
    assert [receipt["seed"] for receipt in sheet.receipt["pictures"]] == [3, 0, 1, 2, 3]
    assert contact_sheet(others, columns=4, gap=0).width == 36
    json.dumps(sheet.receipt)
    for pictures, columns, message in (
        ([], None, "these have 0"),
        ([picture, picture.fit(6)], None, "these have 2"),
        ([picture], 0, "columns is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            contact_sheet(pictures, columns)
