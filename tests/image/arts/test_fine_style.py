"""Fine style on small pictures: the loss falls, what must not change does not, and tiles are the whole."""

import pytest
import torch
import torch.nn.functional as F
from seen import lite0_features, needs_lite0

from clavilux.image.arts import fine_style as fine
from clavilux.image.arts import full_size
from clavilux.image.arts import style_measures as measures
from clavilux.image.arts.fine_style import FineStyle, Manner, Stage
from clavilux.image.arts.full_size import Finish

QUICK = (Stage(48, 10), Stage(64, 6))


def picture(seed: int, height: int = 64, width: int = 64, cells: int = 6) -> torch.Tensor:
    """uint8 [height, width, 3]: soft blobs of color."""
    grid = torch.randn(1, 3, cells, cells, generator=torch.Generator().manual_seed(seed))
    levels = F.interpolate(grid, size=(height, width), mode="bicubic")[0] * 50 + 128
    return levels.clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous()


def bars() -> torch.Tensor:
    """uint8 [64, 64, 3]: a painting of thin slanting strokes in two colors."""
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    stroke = ((rows + columns) % 8 < 4)[..., None]
    return torch.where(stroke, torch.tensor([220, 60, 30]), torch.tensor([20, 40, 160])).to(torch.uint8)


def styled(paintings, pixels=None, finish=None, **manner):
    style = FineStyle(lite0_features(), paintings, Manner(**{"stages": QUICK} | manner))
    return style(picture(1) if pixels is None else pixels, Finish() if finish is None else finish)


def style_of(pixels: torch.Tensor) -> measures.Style:
    return measures.style_of(lite0_features(), pixels.permute(2, 0, 1)[None].float() / 127.5 - 1)


@needs_lite0
def test_the_style_loss_falls_and_the_statistics_come_closer_to_the_painting_than_to_the_photograph():
    stages, strokes = (Stage(64, 24), Stage(96, 12)), picture(2, 96, 96, 40)
    photo = picture(1, 96, 96)
    found = styled([(strokes, 1.0)], photo, content=0.02, stages=stages)
    assert found.finished and found.pixels.shape == (96, 96, 3) and found.pixels.dtype == torch.uint8
    assert [(run.side, len(run.losses)) for run in found.runs] == list(stages)
    ours, photo, painting = style_of(found.pixels), style_of(photo), style_of(strokes)
    assert measures.style_loss(ours, painting) < measures.style_loss(photo, painting) / 4
    assert measures.style_distance(ours, painting) < measures.style_distance(ours, photo)


@needs_lite0
def test_more_content_keeps_more_of_the_photograph():
    pixels = picture(1)
    kept = []
    for content in (0.02, 2.0):
        found = styled([(bars(), 1.0)], content=content)
        kept.append(measures.content_kept(*(x.permute(2, 0, 1)[None].float() for x in (pixels, found.pixels))))
    assert kept[0] < kept[1] < 1


@needs_lite0
def test_the_same_pictures_give_the_same_pixels():
    assert torch.equal(styled([(bars(), 1.0)]).pixels, styled([(bars(), 1.0)]).pixels)


@needs_lite0
def test_outside_a_mask_not_a_bit_changes():
    mask = torch.zeros(64, 64, dtype=torch.uint8)
    mask[:, 32:] = 255
    found, pixels = styled([(bars(), 1.0)], finish=Finish(mask=mask)).pixels, picture(1)
    assert torch.equal(found[:, :32], pixels[:, :32])
    assert (found[:, 32:].float() - pixels[:, 32:].float()).abs().mean() > 8


@needs_lite0
def test_original_colors_stay_where_strokes_come():
    pixels = picture(1)
    found = styled([(bars(), 1.0)], finish=Finish(original_colors=True)).pixels

    def chrominance(x: torch.Tensor) -> torch.Tensor:
        x = x.permute(2, 0, 1).float()
        return x - full_size.luminance(x)

    free = styled([(bars(), 1.0)]).pixels
    change = (chrominance(found) - chrominance(pixels)).abs().mean()
    assert change < 1.5 and change < (chrominance(free) - chrominance(pixels)).abs().mean() / 4
    light = [full_size.luminance(x.permute(2, 0, 1).float()) for x in (pixels, found)]
    assert (light[0] - light[1]).abs().mean() > 3


@needs_lite0
def test_shares_lead_from_one_painting_to_the_other():
    one, other = bars(), picture(2, cells=24)
    ends = [style_of(one), style_of(other)]
    nearer = []
    for shares in ((1.0, 0.0), (1.0, 1.0), (0.0, 3.0)):
        found = style_of(styled(list(zip((one, other), shares, strict=True)), content=0.02).pixels)
        nearer.append(measures.style_distance(found, ends[1]) - measures.style_distance(found, ends[0]))
    assert nearer[0] > nearer[1] > nearer[2]
    alone = styled([(one, 2.0)], content=0.02).pixels
    assert torch.equal(alone, styled([(one, 1.0), (other, 0.0)], content=0.02).pixels)


@needs_lite0
def test_stopping_keeps_what_is_there():
    reached = []

    def stop(done: float, total: float) -> None:
        reached.append(done / total)
        if len(reached) == 12:
            raise KeyboardInterrupt

    style = FineStyle(lite0_features(), [(bars(), 1.0)], Manner(stages=QUICK))
    found = style(picture(1), progress=stop)
    assert not found.finished and [len(run.losses) for run in found.runs] == [10, 2]
    assert reached == sorted(reached) and reached[-1] < 1
    assert (found.pixels.float() - picture(1).float()).abs().mean() > 2


@needs_lite0
def test_progress_ends_at_the_whole():
    told = []
    FineStyle(lite0_features(), [(bars(), 1.0)], Manner(stages=QUICK))(picture(1), progress=lambda *x: told.append(x))
    assert len(told) == 16 and told[-1][0] == pytest.approx(told[-1][1])


@needs_lite0
def test_the_gradient_of_tiles_is_that_of_the_whole():
    features = lite0_features()
    photo, painting = (
        x.permute(2, 0, 1)[None].float() / 127.5 - 1 for x in (picture(3, 256, 320), picture(4, 256, 256, 60))
    )
    wanted = measures.style_of(features, painting)
    found = []
    for tile, count in ((512, 1), (128, 6)):
        sight = fine._Sight(features, Manner(tile=tile), wanted, photo, None)
        assert len(sight._tiles) == count
        x = (photo * 0.9).requires_grad_()
        loss = sight.gradient(x)
        found.append((loss, x.grad))
    (loss, whole), (loss_of_tiles, tiled) = found
    assert loss_of_tiles == pytest.approx(loss, rel=1e-3)
    assert (tiled - whole).norm() < 0.02 * whole.norm()


@needs_lite0
def test_a_large_painting_in_tiles_has_the_style_of_the_whole():
    features, pixels = lite0_features(), picture(5, 256, 320, 50).permute(2, 0, 1)[None].float() / 127.5 - 1
    whole = fine.seen_style(features, pixels, measures.STYLE_LAYERS)
    tiled = fine.seen_style(features, pixels, measures.STYLE_LAYERS, tile=128)
    assert not torch.equal(tiled["stem"].mean, whole["stem"].mean)
    assert measures.style_distance(tiled, whole) < 0.01


@needs_lite0
def test_borders_are_as_smooth_as_the_rest():
    found = styled([(picture(6, cells=16), 1.0)], content=0.02).pixels.float()
    steps = (found[:, 1:] - found[:, :-1]).abs().mean((0, 2))
    assert steps[:2].max() < 2.5 * steps.mean() and steps[-2:].max() < 2.5 * steps.mean()


def test_tiles_cover_every_pixel_once():
    counted = torch.zeros(1000, 1500)
    for tile in fine.tiles_of(1000, 1500, tile=256):
        (top, bottom), (left, right) = tile.own
        (sees_top, sees_bottom), (sees_left, sees_right) = tile.sees
        counted[top:bottom, left:right] += 1
        assert sees_top in (0, top - 96) and sees_left in (0, left - 96)
        assert sees_bottom == min(bottom + 96, 1000) and sees_right == min(right + 96, 1500)
    assert (counted == 1).all()


def test_stages_end_at_the_pictures_size_or_the_largest():
    assert fine.stages_for(512, 512, Manner()) == fine.FAITHFUL
    assert fine.stages_for(512, 512, Manner(content=0.02)) == fine.BOLD
    assert fine.stages_for(100, 100, Manner()) == (Stage(100, 60),)
    assert [stage.side for stage in fine.stages_for(3000, 3000, Manner())] == [192, 384, 512, 1024]
    assert [stage.side for stage in fine.stages_for(3000, 3000, Manner(size=2048))] == [192, 384, 512, 1024, 2048]
    assert fine.stages_for(600, 800, Manner())[-1] == Stage(693, 6)


@pytest.mark.parametrize(
    ("paintings", "said"),
    [
        ([], "there is no style"),
        ([(torch.zeros(8, 8, 3, dtype=torch.uint8), -1.0)], "a number from 0"),
        ([(torch.zeros(8, 8, 3, dtype=torch.uint8), 0.0)], "are 0"),
    ],
)
def test_what_cannot_be_painted_after_is_refused(paintings, said):
    with pytest.raises(ValueError, match=said):
        FineStyle(None, paintings)
