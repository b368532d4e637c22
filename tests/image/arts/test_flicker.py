"""Flicker: what is measured, and that what lowers it leaves no trail."""

import pytest
import torch

from clavilux.image.arts.flicker import Meter, Steadier


def frames(noise, count=6):
    """(source, styled): a still ground, a square that moves right, and noise that the style makes five times larger."""
    torch.manual_seed(0)
    for number in range(count):
        source = torch.full((32, 64, 3), 100.0)
        source[8:20, 4 + 8 * number : 12 + 8 * number] = 220
        wobble = torch.randn(32, 64, 1) * noise
        yield (source + wobble).round().byte(), (255 - source + 5 * wobble).round().clamp(0, 255).byte()


def measured(share, noise=1.0):
    meter, steadier, shown = Meter(), Steadier(share), []
    for source, styled in frames(noise):
        shown.append(steadier(source, styled))
        meter.add(source, shown[-1])
    return meter.read(), shown


def test_the_measure_is_the_mean_change():
    meter = Meter()
    black, grey = torch.zeros(4, 4, 3, dtype=torch.uint8), torch.full((4, 4, 3), 12, dtype=torch.uint8)
    half = black.clone()
    half[:2] = 40
    for source, styled in ((black, black), (half, grey), (half, black)):
        meter.add(source, styled)
    found = meter.read()
    # Two steps: half of the places move by 40, then none; the styled frames move by 12 twice.
    assert found.source_change == pytest.approx(10) and found.styled_change == pytest.approx(12)
    assert found.still_change == pytest.approx(12) and found.still_share == pytest.approx(0.75)
    assert Meter().read() == (0, 0, 0, 0)


def test_more_steadiness_is_less_flicker():
    found = [measured(share)[0].still_change for share in (0, 0.25, 0.5, 0.75, 1)]
    assert found == sorted(found, reverse=True)
    assert found[3] < 0.6 * found[0]


def test_without_steadiness_frames_stay_as_they_are():
    assert all(torch.equal(a, b) for a, (_, b) in zip(measured(0)[1], frames(1.0), strict=True))


def test_what_moves_leaves_no_trail():
    shown = measured(1.0, noise=0)[1]
    wanted = [styled for _, styled in frames(0)]
    assert all((a.float() - b.float()).abs().max() < 3 for a, b in zip(shown, wanted, strict=True))
