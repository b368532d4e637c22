"""`clavilux.style` where it is fine: what it takes, what its receipt says, and one sentence for what it cannot take."""

import pytest
import torch
from seen import needs_lite0
from styles import scene

import clavilux
from clavilux.image.picture import Picture

pytestmark = needs_lite0


@pytest.fixture
def picture():
    return Picture(scene(48, 64), receipt={"prompt": "a disc"})


@pytest.fixture
def painting(tmp_path):
    path = tmp_path / "p.png"
    Picture(scene(40, 60).flip(0)).save(path)
    return path


def test_a_picture_is_painted_after_a_painting_and_says_so_in_its_file(picture, painting, tmp_path):
    mask = Picture(torch.full((6, 8, 3), 255, dtype=torch.uint8))
    found = clavilux.style(
        picture,
        paintings=[f"{painting}:3", painting],
        fine=True,
        content=0.5,
        seed=4,
        size=64,
        mask=mask,
        layers={"stem": 1, "blocks.2": 2},
    )
    found.save(tmp_path / "styled.png")
    receipt = Picture.load(tmp_path / "styled.png").receipt
    assert receipt == found.receipt and found.pixels.shape == picture.pixels.shape
    assert not torch.equal(found.pixels, picture.pixels)
    controls = receipt["controls"]
    assert controls["paintings"] == {"p.png": 0.75, "p.png (2)": 0.25} and controls["content"] == 0.5
    assert controls["layers"] == {"stem": 1, "blocks.2": 2} and receipt["seed"] == 4 and receipt["notes"] == []
    assert receipt["of"] == {"prompt": "a disc"} and list(receipt["weights"]) == ["lite0"] and "mask" in receipt
    [(side, (first, last))] = receipt["style_loss"].items()
    assert side == "55" and last < first / 2
    assert set(found.timings) == {"weights_s", "style_s"}


def test_a_path_gives_the_same_pixels(picture, painting, tmp_path):
    picture.save(tmp_path / "a.png")
    found = [clavilux.style(given, paintings=[painting], fine=True) for given in (picture, tmp_path / "a.png")]
    assert torch.equal(found[0].pixels, found[1].pixels)


def test_stopping_keeps_what_is_there_and_notes_it(picture, painting):
    def stop(done: float, total: float) -> None:
        raise KeyboardInterrupt

    found = clavilux.style(picture, paintings=[painting], fine=True, progress=stop)
    assert found.receipt["notes"] == ["it was stopped: this is what was there by then"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"paintings": []}, "after a painting"),
        ({"like": "mosaic"}, "leave like out"),
        ({"fine": False, "content": 0.5}, "content can be given to fine style only; add fine=True"),
        ({"content": -1}, "content is -1"),
        ({"stroke": 100}, "stroke is 100"),
        ({"size": 20}, "size is 20"),
        ({"strength": "all"}, "strength is 'all'"),
        ({"dtype": "int8"}, "float32 or bfloat16"),
        ({"layers": {"blocks.77": 1}}, "no layer 'blocks.77'"),
        ({"layers": {"stem": -1}}, "weight of stem is -1"),
        ({"content_layer": "tail"}, "no layer 'tail'"),
        ({"features": "vgg"}, "features is 'vgg'"),
        ({"seed": -1}, "seed is -1"),
        ({"mask": Picture(torch.zeros(4, 4, 3, dtype=torch.uint8))}, "black everywhere"),
        ({"picture": Picture(torch.zeros(4, 4, 3, dtype=torch.uint8))}, "16 and more"),
        ({"paintings": [Picture(torch.zeros(1, 1, 3, dtype=torch.uint8))]}, "1 x 1"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(picture, painting, arguments, said):
    arguments = {"picture": picture, "paintings": [painting], "fine": True} | arguments
    with pytest.raises(ValueError, match=said) as caught:
        clavilux.style(**arguments)
    assert "\n" not in str(caught.value)


def test_layers_are_a_mapping(picture, painting):
    with pytest.raises(TypeError, match="mapping"):
        clavilux.style(picture, paintings=[painting], fine=True, layers=["stem"])
