"""Fast style: strength, blends, original colors and masks do what their numbers say; strips leave no seam."""

import pytest
import torch
from styles import needs_styles, scene

from clavilux.image.arts import full_size, style_names
from clavilux.image.arts.full_size import Finish, lay, luminance
from clavilux.image.arts.style import Blend, FastStyle, seen_size

STARRY, MOSAIC = style_names.find("starry-night"), style_names.find("mosaic")


@pytest.fixture(scope="module")
def starry():
    return FastStyle(Blend([(STARRY, 1.0)]))


def distance(a, b):
    return (a.float() - b.float()).abs().mean().item()


@needs_styles
def test_the_default_changes_a_picture_and_keeps_it(starry):
    picture = scene(128, 128)
    styled = starry(picture)
    assert styled.dtype == torch.uint8 and styled.shape == picture.shape
    assert distance(styled, picture) > 8
    bright = [luminance(each.permute(2, 0, 1).float()).flatten() for each in (picture, styled)]
    assert torch.corrcoef(torch.stack(bright))[0, 1] > 0.25


@needs_styles
def test_strength_goes_from_the_picture_to_the_style(starry):
    picture = scene()
    steps = [starry(picture, Finish(strength=share)) for share in (0, 0.25, 0.5, 0.75, 1)]
    assert torch.equal(steps[0], picture)
    away = [distance(step, picture) for step in steps]
    left = [distance(step, steps[-1]) for step in steps]
    assert away == sorted(away) and left == sorted(left, reverse=True)
    assert away[2] == pytest.approx(away[4] / 2, rel=0.02)


@needs_styles
@pytest.mark.parametrize("kind", ["built-in", "paintings", "both"])
def test_a_blend_goes_from_one_style_to_the_other(kind):
    picture, first, second = scene(), scene(64, 64), scene(96, 64).flip(2)
    first, second = first // 2, 255 - second  # a dark and a light painting

    def blend(share):
        of_first, of_second = 1 - share, share
        if kind == "built-in":
            return Blend([(STARRY, of_first), (MOSAIC, of_second)])
        if kind == "paintings":
            return Blend((), [(first, of_first), (second, of_second)])
        return Blend([(STARRY, of_first)], [(second, of_second)])

    steps = [FastStyle(blend(share))(picture) for share in (0, 0.25, 0.5, 0.75, 1)]
    from_first, from_second = ([distance(step, end) for step in steps] for end in (steps[0], steps[-1]))
    assert from_first == sorted(from_first) and from_second == sorted(from_second, reverse=True)
    assert from_first[-1] > 4


@needs_styles
def test_weights_count_by_their_shares_alone():
    picture = scene()
    one, two = (FastStyle(Blend([(STARRY, 1 * times), (MOSAIC, 3 * times)]))(picture) for times in (1, 8))
    assert torch.equal(one, two)


@needs_styles
def test_any_size_goes_through(starry):
    paintings = FastStyle(Blend((), [(scene(17, 300), 1.0)]))
    for height, width in ((16, 16), (17, 23), (66, 97), (16, 131)):
        picture = scene(height, width)
        assert starry(picture).shape == paintings(picture).shape == picture.shape


@needs_styles
def test_a_larger_stroke_is_coarser(starry):
    picture = scene(160, 160)

    def fineness(pixels):
        bright = luminance(pixels.permute(2, 0, 1).float())
        return ((bright[:, :, 1:] - bright[:, :, :-1]).abs().mean() / bright.std()).item()

    assert fineness(starry(picture, stroke=3)) < fineness(starry(picture)) < fineness(starry(picture, stroke=0.5))


def test_a_picture_is_seen_as_it_is_up_to_1024_pixels_a_side():
    assert seen_size(640, 960) == (640, 960)
    assert seen_size(2048, 2048) == (1448, 1448)
    assert seen_size(8192, 8192) == (2048, 2048)
    assert seen_size(800, 600, 2) == (400, 300)
    assert min(seen_size(16, 4000, 4)) == 16


def test_without_a_style_there_is_nothing_to_do():
    with pytest.raises(ValueError, match="no style"):
        FastStyle(Blend())


def changed_of(small):
    """Something that a network might do: darker, redder, its contrast turned over at the left."""
    floats = small.permute(2, 0, 1).float() / 255
    turned = torch.where(torch.arange(small.shape[1]) < small.shape[1] // 2, 1 - floats, floats)
    return (turned * torch.tensor([0.9, 0.5, 0.4]).view(3, 1, 1)).clamp(0, 1)


@pytest.mark.parametrize("whole", [False, True])
def test_strips_of_rows_leave_no_seam(whole, monkeypatch):
    picture = scene(120, 180)
    small = picture if whole else full_size.smaller(picture, 50, 75)
    finish = Finish(0.8, True, (torch.arange(120 * 180).reshape(120, 180) % 256).byte())
    at_once = lay(picture, small, changed_of(small), finish)
    monkeypatch.setattr(full_size, "_STRIP", 7 * 180)
    assert torch.equal(lay(picture, small, changed_of(small), finish), at_once)


def grain(height, width):
    """A grey picture with detail of about 4 pixels."""
    torch.manual_seed(0)
    fine = torch.rand(1, 1, height // 4, width // 4)
    fine = torch.nn.functional.interpolate(fine, size=(height, width), mode="bicubic")[0, 0]
    return (fine.clamp(0, 1) * 255).round().byte()[:, :, None].repeat(1, 1, 3)


def test_no_change_of_the_small_picture_is_nearly_none_of_the_whole():
    picture = grain(120, 180)
    small = full_size.smaller(picture, 40, 60)
    same = lay(picture, small, small.permute(2, 0, 1).float() / 255, Finish())
    enlarged = full_size.smaller(small, 120, 180)
    assert distance(same, picture) < distance(enlarged, picture) / 5


def test_detail_turns_over_where_the_change_did():
    picture = grain(240, 240)
    small = full_size.smaller(picture, 80, 80)
    turned = lay(picture, small, 1 - small.permute(2, 0, 1).float() / 255, Finish()).float()
    blurred = 255 - full_size.smaller(small, 240, 240).float()  # the change without detail
    assert distance(turned, 255 - picture.float()) < distance(blurred, 255 - picture.float()) / 5


def test_original_colors_change_the_luminance_alone():
    picture = (scene().float() * 0.3 + 90).byte()  # far from the ends, where nothing is clipped
    changed = (changed_of(picture) * 0.1 + 0.4).clamp(0, 1)
    kept = lay(picture, picture, changed, Finish(original_colors=True)).float()
    before = picture.float()
    for a, b in ((0, 1), (1, 2)):
        assert ((kept[..., a] - kept[..., b]) - (before[..., a] - before[..., b])).abs().max() <= 1.01
    wanted = luminance(changed * 255)[0]
    assert (luminance(kept.permute(2, 0, 1))[0] - wanted).abs().max() < 1.5


def test_a_mask_says_where():
    picture = scene()
    mask = torch.zeros(64, 96, dtype=torch.uint8)
    mask[:, 48:] = 255
    found = lay(picture, picture, changed_of(picture), Finish(mask=mask))
    assert torch.equal(found[:, :48], picture[:, :48])
    assert torch.equal(found[:, 48:], lay(picture, picture, changed_of(picture), Finish())[:, 48:])
