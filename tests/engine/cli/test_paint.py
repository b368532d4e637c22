"""`clavilux paint`: what it prints and writes, and one line and exit code 2 for whatever is wrong."""

import functools
import json
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import call, refuse
from PIL import Image

import clavilux
from clavilux.image import io
from clavilux.image.picture import Picture
from clavilux.image_family import PictureGeneration

SIDE = 8  # pixels of the small model's pictures


@pytest.fixture(scope="module", autouse=True)
def load_once():
    """Each model is read from its files once for the whole module; errors are not kept."""
    with pytest.MonkeyPatch.context() as patch:
        load = functools.lru_cache(clavilux.load)
        patch.setattr(clavilux, "load", lambda found, **words: load(found.folder, **words))
        yield


@pytest.fixture
def paint(llamagen, tmp_path, monkeypatch):
    """paint(options) runs the command with the small model in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return lambda options="", run=call: run("paint", "--model", llamagen, *options.split())


@pytest.fixture(scope="module")
def four(llamagen, tmp_path_factory):
    folder = tmp_path_factory.mktemp("four")
    said = call("paint", "--model", llamagen, "--class", "3", "--seeds", "1,2,3,4", "-o", folder / "a.png").stdout
    return folder, said


def test_a_picture_a_seed_and_what_is_said(four):
    folder, said = four
    assert sorted(path.name for path in folder.iterdir()) == [f"a-{n}.png" for n in (1, 2, 3, 4)]
    assert said.count("class id: 3") == 1 and "made in: " in said and "s a picture" in said
    for n in (1, 2, 3, 4):
        assert f"seed: {n}\n" in said and str(folder / f"a-{n}.png") in said
    pictures = [Picture.load(folder / f"a-{n}.png") for n in (1, 2, 3, 4)]
    assert len({picture.pixels.numpy().tobytes() for picture in pictures}) == 4
    assert {(picture.width, picture.height) for picture in pictures} == {(SIDE, SIDE)}


def test_one_seed_alone_paints_the_same_picture(four, paint):
    paint("--class 3 --seed 2 --quiet -o b.png")
    assert torch.equal(Picture.load("b.png").pixels, Picture.load(four[0] / "a-2.png").pixels)


def test_the_receipt_in_the_file(four):
    facts = json.loads(call("info", four[0] / "a-2.png", "--json").stdout)
    assert (facts["kind"], facts["width"], facts["height"]) == ("picture file", SIDE, SIDE)
    receipt = facts["receipt"]
    assert (receipt["model"], receipt["seed"], receipt["controls"]) == ("c2i_T_256", 2, {"class_id": 3})
    assert len(receipt["fingerprint"]) >= 8
    assert receipt["settings"] == {"temperature": 1.0, "top_k": 2000, "top_p": 1.0, "guidance": 4.0}
    said = call("info", four[0] / "a-2.png").stdout
    assert f"\nreceipt:\n  controls: class_id 3\n  dtype: {receipt['dtype']}\n" in said and " KiB\n" in said
    assert f"\n  fingerprint: {receipt['fingerprint']}\n  mark: none\n  model: c2i_T_256\n  seed: 2\n" in said
    assert "\n  settings: guidance 4, temperature 1, top_k 2000, top_p 1\n" in said


def test_a_sheet_holds_all_pictures_and_receipts(four, paint):
    said = paint("--class 3 --seeds 1,2,3,4 --sheet -o sheet.png").stdout
    assert said.count("sheet.png") == 1 and "seed: 4" in said
    sheet = Picture.load("sheet.png")
    assert (sheet.width, sheet.height) == (2 * SIDE + 12, 2 * SIDE + 12)
    assert torch.equal(sheet.pixels[8 + SIDE : 8 + 2 * SIDE, 4 : 4 + SIDE], Picture.load(four[0] / "a-3.png").pixels)
    assert [each["seed"] for each in sheet.receipt["pictures"]] == [1, 2, 3, 4]
    assert call("info", "sheet.png").stdout.count("\n  pictures: ") == 4


def test_batch_counts_on_from_the_seed(paint):
    report = json.loads(paint("--class 1 --seed 7 --batch 2 --json -o a.webp").stdout)
    assert [picture["receipt"]["seed"] for picture in report["pictures"]] == [7, 8]
    assert [picture["files"]["picture"] for picture in report["pictures"]] == ["a-1.webp", "a-2.webp"]
    assert {"steps_s", "codec_s", "file_s"} <= {name for name, took in report["timings"].items() if took > 0}


def test_a_preview_fills_in_while_rows_arrive(paint, tmp_path, monkeypatch):
    shown = []
    save = Picture.save

    def noted(self, path):
        save(self, path)
        if str(path) == "now.png":
            shown.append(Picture.load(path).pixels)

    monkeypatch.setattr(Picture, "save", noted)
    paint("--class 3 --seed 5 --preview now.png -o a.png --quiet")
    whole = Picture.load("a.png").pixels
    assert len(shown) == 4 and torch.equal(shown[-1], whole)
    assert all(pixels[2 * row :].eq(128).all() for row, pixels in enumerate(shown[:-1], 1))
    assert not shown[0][:2].eq(128).all()


def test_a_preview_of_several_is_their_sheet(paint):
    paint("--class 3 --seeds 1,2 --preview now.jpg -o a.png --quiet")
    assert Picture.load("now.jpg").width == 2 * SIDE + 12


def test_guidance_is_a_number_or_a_schedule(paint):
    for guidance, name in (("4", "a.png"), ("4:4", "b.png"), ("1:4:7.5", "c.png")):
        paint(f"--class 3 --seed 1 --quiet -o {name} --guidance {guidance}")
    a, b, c = (Picture.load(name) for name in ("a.png", "b.png", "c.png"))
    assert torch.equal(a.pixels, b.pixels) and not torch.equal(a.pixels, c.pixels)
    assert c.receipt["settings"]["guidance"] == "1:4:7.5"


def test_editing(four, paint):
    """The upper half, a region, and a share of the tokens are kept, and it is said what that means."""
    whole = Picture.load(four[0] / "a-1.png")
    Picture(whole.pixels[:4]).save("half.png")
    assert "note: keeps 2 of 4 rows of tokens" in paint("--class 3 --continue-from half.png -o b.png").stdout
    said = paint(f"--class 3 --continue-from {four[0]}/a-1.png --keep 4,4,4,4 -o c.png --seed 9").stdout
    assert "note: keeps 4 of 16 tokens" in said and "keep: 4, 4, 4, 4" in said
    assert "so 12 new ones do not see all that is kept" in said
    said = paint(f"--class 3 --continue-from {four[0]}/a-1.png --vary 0.5 -o d.png --seeds 1,2").stdout
    assert said.count("note: keeps 8 of 16 tokens") == 1 and "vary: 0.5" in said


def test_explain_draws_a_map(paint):
    said = paint("--class 3 --seeds 1,2 -o a.png --explain why.png").stdout
    for n in (1, 2):
        height, width, _ = io.read(f"why-{n}.png").pixels.shape
        assert width > 2 * height > 400 and f"why-{n}.png" in said
    paint("--class 3 --seed 1 -o a.png --explain why.svg --quiet")
    assert "<svg" in Path("why.svg").read_text()


def test_a_model_that_makes_something_else(tmp_path, llamagen):
    assert "'aria' makes music, which is what `clavilux render` is for" in refuse("paint", "--model", "aria")
    said = refuse("render", "--model", llamagen, "-o", tmp_path / "a.wav")
    assert "makes pictures, which is what `clavilux paint` is for" in said


def test_another_codec_is_named(paint, llamagen, tmp_path):
    shutil.copy(llamagen / "c2i_T_256.pt", tmp_path)
    options = "--class 3 --seed 1 --quiet -o a.png"
    assert "is its VQ codec" in refuse("paint", "--model", tmp_path, *options.split())
    call("paint", "--model", tmp_path, "--codec", llamagen / "vq_ds16_c2i.pt", *options.split())
    assert Picture.load("a.png").width == SIDE


def test_it_says_what_was_written_when_it_is_stopped(paint, monkeypatch):
    def stopped(self, pictures, *_):
        if len(self._tokens) > 8:
            raise KeyboardInterrupt
        return push(self, pictures)

    push = PictureGeneration.push
    monkeypatch.setattr(PictureGeneration, "push", stopped)
    result = paint("--class 3 -o a.png", functools.partial(call, code=130))
    assert result.stderr == "clavilux: stopped, nothing written\n"
    result = paint("--class 3 -o a.png --preview now.png", functools.partial(call, code=130))
    assert result.stderr == "clavilux: stopped, after writing now.png\n" and not Path("a.png").exists()


# What is wrong


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", "paints classes, not words; give --class, a number from 0 to 9"),
        ("--class 10", "--class is 10; it should be a whole number from 0 to 9"),
        ("--class -1", "--class is -1"),
        ("--class 1 --seeds 1,two", "--seeds is '1,two'; it should be whole numbers with commas between them"),
        ("--class 1 --seeds 1,,2", "--seeds is '1,,2'"),
        ("--class 1 --seeds 99999999999999999999", "seed is 99999999999999999999; it should be from -2^63"),
        ("--class 1 --seeds 1,2 --batch 3", "--batch is 3 and there are 2 seeds"),
        ("--class 1 --size 9", "size is 9; it should be a multiple of 2 pixels, up to 2048"),
        ("--class 1 --size 0", "size is 0"),
        ("--class 1 --size 2050", "size is 2050"),
        ("--class 1 --guidance much", "guidance is 'much'; it should be a number, or numbers with colons"),
        ("--class 1 --guidance nan", "guidance is nan"),
        ("--class 1 --temperature -1", "temperature is -1"),
        ("--class 1 --top-p 2", "--top-p is 2"),
        ("--class 1 --batch 65", "batch is 65"),
        ("--class 1 --keep 0,0,2,2", "keep is given without a picture"),
        ("--class 1 --keep 0,0,a,2", "--keep is '0,0,a,2'; it should be whole numbers"),
        ("--class 1 --vary 0.5", "vary is given without a picture"),
        ("--class 1 --continue-from none.png", "no file 'none.png'"),
        ("--class 1 --explain why.jpg", "'why.jpg' should end in .png, .svg or .pdf"),
        ("--class 1 --preview picture.png", "the same name"),
        ("--class 1 -o a.bmp", "'a.bmp' has the ending '.bmp'; a picture is saved as"),
        ("--class 1 -o no/such/a.png", "there is no folder"),
        ("--class 1 --device abacus", "the device 'abacus' is not available"),
        ("--class 1 --codec none.pt", "there is no file or folder 'none.pt'"),
    ],
)
def test_values_that_cannot_be(paint, tmp_path, options, said):
    assert said in paint(options, refuse)
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_are_none(paint):
    for option in ("--class cat", "--size big", "--vary some"):
        result = paint(option, functools.partial(call, code=2))
        assert result.stderr.startswith(f"clavilux: {option.split()[0]} should be a ")


def bomb() -> bytes:
    """A PNG of a few bytes that claims 60,000 x 60,000 pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"this is no picture\n", "is not a picture, or a damaged one; png, jpg, webp"),
        (b"", "is empty (0 bytes)"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture"),
        (bomb(), "has more pixels than the 67,108,864 that are read"),
    ],
    ids=["text", "empty", "postscript", "bomb"],
)
def test_files_that_are_no_pictures(paint, tmp_path, content, said):
    (tmp_path / "in.png").write_bytes(content)
    assert said in paint("--class 1 --continue-from in.png -o out.png", refuse)
    assert said in refuse("info", "in.png")
    assert [path.name for path in tmp_path.iterdir()] == ["in.png"]


def test_a_truncated_picture(paint, tmp_path, four):
    whole = (four[0] / "a-1.png").read_bytes()
    (tmp_path / "in.png").write_bytes(whole[: len(whole) - 60])
    said = paint("--class 1 --continue-from in.png --vary 0.5 -o out.png --strict", refuse)
    assert said.startswith("'in.png': the file is cut short") and [path.name for path in tmp_path.iterdir()] == [
        "in.png"
    ]
    said = paint("--class 1 --continue-from in.png --vary 0.5 -o out.png").stdout
    assert "note: of the picture that is continued: the file is cut short" in said
    assert "note: the file is cut short" in call("info", tmp_path / "in.png").stdout
    assert "in.png" in refuse("info", tmp_path / "in.png", "--strict")


def test_palette_alpha_cmyk_and_16_bits_are_read(paint):
    """All of them show the same, so the same tokens are kept; greedy, so the pictures are the same."""
    rgb = np.zeros((4, 8, 3), np.uint8)
    rgb[:, 4:] = 255
    plain = Image.fromarray(rgb)
    clear = np.dstack([rgb, np.where(rgb[..., 0] == 255, 0, 255).astype(np.uint8)])
    clear[:, 4:, :3] = 77  # transparent, so its colour is not seen: it lies on white
    plain.save("rgb.png")
    plain.quantize(2).save("palette.png")
    Image.fromarray(clear).save("alpha.png")
    plain.convert("CMYK").save("cmyk.tif")
    Image.fromarray(rgb[..., 0].astype(np.uint16) * 257).save("deep.png")
    plain.convert("1").save("bits.png")
    plain.convert("LA").save("grey.png")
    for name in ("rgb.png", "palette.png", "alpha.png", "cmyk.tif", "deep.png", "bits.png", "grey.png"):
        said = paint(f"--class 3 --continue-from {name} --temperature 0 -o out-{name[:3]}.png").stdout
        assert "keeps 2 of 4 rows" in said
    first, *others = (Picture.load(f"out-{name}.png") for name in ("rgb", "pal", "alp", "cmy", "dee", "bit", "gre"))
    assert all(torch.equal(other.pixels, first.pixels) for other in others)


def test_floating_point_pixels_are_refused(paint):
    Image.fromarray(np.zeros((4, 8), np.float32)).save("float.tif")
    assert "'float.tif' holds floating point values; 8 or 16" in paint(
        "--class 1 --continue-from float.tif -o out.png", refuse
    )


def test_help_needs_no_torch():
    code = "import sys; from clavilux.cli.app import app; app(['paint', '--help'], standalone_mode=False); " \
           "assert 'torch' not in sys.modules"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "--explain" in done.stdout, done.stderr
