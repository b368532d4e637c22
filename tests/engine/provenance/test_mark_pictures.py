"""The mark in pictures: tokens found again by a codec, in tiles of sheets, enlarged, and cut out."""

import io
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from scipy import stats

import clavilux
from clavilux import verifying
from clavilux.image.animation import write_animation
from clavilux.image.picture import Picture
from clavilux.image.sheet import contact_sheet
from clavilux.mark_key import PUBLIC, MarkKey
from clavilux.marking import Mark, MarkedTokens
from clavilux.provenance.mark import surest_of
from clavilux.provenance.mark_pictures import find_in_picture, readings_of, tiles_of
from clavilux.provenance.mark_pixels import find_in_pixels
from clavilux.provenance.stamp import stamp_of
from clavilux.sampling import Sampler, SamplingSpec

SIZE, SIDE = 64, 8
LEVELS = torch.tensor([(r, g, b) for r in (0, 85, 170, 255) for g in (0, 85, 170, 255) for b in (0, 85, 170, 255)])
TOKENS = MarkedTokens("toy picture", torch.arange(64) % 16)
KEY = MarkKey(bytes(range(32)))


class Flat:
    """A codec of one colour a square of 8 pixels, out of 64."""

    codebooks, vocabulary, downsampling = 1, 64, SIDE

    def encode(self, pixels):
        means = torch.nn.functional.avg_pool2d((pixels + 1) * 127.5, SIDE).permute(0, 2, 3, 1).flatten(1, 2)
        return torch.cdist(means, LEVELS.float()).argmin(-1)[:, None]

    def decode(self, tokens, rows=None):
        raise NotImplementedError("no test decodes")


def drawn(seed, marked=True, key=KEY):
    """A picture whose tokens are drawn evenly."""
    mark = Mark(key.word(TOKENS.kind), TOKENS) if marked else None
    sampler, logits = Sampler(SamplingSpec(seed=(seed,), mark=mark), 1, 1, 64), torch.zeros(1, 1, 64)
    ids = torch.tensor([int(sampler.draw(logits, step)) for step in range(64)])
    colours = LEVELS[ids].view(SIDE, SIDE, 3).to(torch.uint8)
    return Picture(colours.repeat_interleave(SIDE, 0).repeat_interleave(SIDE, 1))


def found(picture, key=KEY):
    return find_in_picture(key, readings_of(picture, Flat(), TOKENS, SIZE), TOKENS)


def saved_again(picture, **how):
    file = io.BytesIO()
    Image.fromarray(picture.pixels.numpy()).save(file, **how)
    return Picture(
        torch.tensor(list(Image.open(file).convert("RGB").tobytes()), dtype=torch.uint8).view(picture.pixels.shape)
    )


@pytest.mark.parametrize("how", [{"format": "PNG"}, {"format": "JPEG", "quality": 75}])
def test_a_marked_picture_is_found_by_its_key_after_other_programs(how):
    picture = saved_again(drawn(3), **how)
    mark = found(picture)
    assert mark.p < 1e-6 and mark.tokens == 64 and mark.key == KEY.id
    assert found(picture, PUBLIC).p > 1e-3
    assert found(picture.resized(256, 256)).p < 1e-6


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ".gif"])
def test_a_picture_saved_again_has_lost_its_credentials_and_kept_its_mark(tmp_path, monkeypatch, ending):
    monkeypatch.setenv("CLAVILUX_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CLAVILUX_CREDENTIALS", "1")
    family = SimpleNamespace(stage=SimpleNamespace(codec=Flat()), marked=TOKENS, size=SIZE)
    monkeypatch.setattr(verifying, "_loaded", lambda _: SimpleNamespace(family=family))
    pixels, receipt = drawn(3, key=PUBLIC).pixels, {"model": "toy", "seed": 3}
    signed, again = tmp_path / f"signed{ending}", tmp_path / f"again{ending}"
    if ending == ".gif":
        with write_animation(signed, 5, receipt, stamp=stamp_of()) as animation:
            animation.add(pixels)
    else:
        Picture(pixels, receipt=receipt, stamp=stamp_of()).save(signed)
    assert clavilux.verify(signed).credentials.state == "valid"
    with Image.open(signed) as image:
        image.convert("RGB").save(again)
    verdict = clavilux.verify(again)
    [mark] = verdict.marks
    assert verdict.credentials.state == "absent" and mark.p < 1e-6 and mark.key == PUBLIC.id
    assert verdict.says.startswith("credentials gone, mark found") and f"(p = {mark.p:.2g})" in verdict.says


def test_a_part_that_was_cut_out_is_looked_for_at_every_place():
    part = Picture(drawn(3).pixels[2:, 5:])
    assert len(readings_of(part, Flat(), TOKENS, SIZE)) == 1 + 3 * 6
    assert found(part).p < 1e-6


@pytest.mark.parametrize("labels", [(), ("a", "b", "c", "d", "e")])
@pytest.mark.parametrize("scale", [1, 3])
def test_tiles_of_a_sheet_count_together(labels, scale):
    pictures = [drawn(seed) for seed in range(7, 12)]
    sheet = contact_sheet(pictures, 3, labels=labels)
    sheet = sheet.resized(sheet.width * scale, sheet.height * scale)
    assert len(tiles_of(sheet, SIZE)) == 5  # the sixth place is blank
    mark = found(sheet)
    assert mark.tokens == 5 * 64 and mark.p < found(pictures[0]).p ** 2


def test_p_values_of_unmarked_sheets_are_not_too_small_though_tiles_be_alike():
    sheet = contact_sheet([drawn(1, marked=False)] * 4)
    ps = [found(sheet, MarkKey(bytes([n, 1] * 16))).p for n in range(80)]
    assert min(ps) > 1e-4
    assert stats.kstest(ps, "uniform", alternative="greater").pvalue > 0.01  # those of tries are bounds


def test_verify_reads_a_picture_with_lumia_s_codec(tmp_path):
    drawn(3).save(tmp_path / "a.png")
    family = clavilux.load("lumia", device="cpu").family
    readings = readings_of(drawn(3), family.stage.codec, family.marked, family.size)
    in_tokens = find_in_picture(PUBLIC, readings, family.marked)
    assert in_tokens.tokens == 64 and in_tokens.p > 1e-3
    [mark] = clavilux.verify(tmp_path / "a.png").marks
    assert mark == surest_of([in_tokens, *find_in_pixels(drawn(3), [PUBLIC], family.size)])
