"""What a model thinks of a picture: entropy and surprise of every token, against reading each place by itself."""

import math

import pytest
import torch

import clavilux
from clavilux.conditioning import Conditioning
from clavilux.image.picture import Picture


@pytest.fixture(scope="module")
def model(llamagen):
    return clavilux.load(llamagen, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def picture(model):
    return model.generate(class_id=3, seed=5, guidance="1:7")


def by_hand(model, tokens, class_id, scales, temperature):
    """Each place read anew: bits of entropy and of surprise, [16]."""
    decoder, table = model.family.decoder, model.family._tables["cls_embedding.embedding_table.weight"]
    both = Conditioning(prefix=table[[class_id, 10]][:, None])
    entropy, surprise = [], []
    for place, token in enumerate(tokens[0].tolist()):
        read = tokens[:, :place].repeat(2, 1, 1)
        c, u = decoder.prefill(read, decoder.new_state(2, both))[:, 0].double()
        p = ((u + scales[place] * (c - u)) / temperature).softmax(0)
        entropy.append(-sum(each * math.log2(each) for each in p.tolist() if each))
        surprise.append(-math.log2(p[token]))
    return torch.tensor(entropy), torch.tensor(surprise)


def test_entropy_and_surprise_of_a_painted_picture(model, picture):
    """Guidance and what was said come from the receipt."""
    found = model.explain(picture)
    entropy, surprise = by_hand(model, picture.tokens, 3, [1 + 6 * step / 15 for step in range(16)], 1.0)
    assert found.entropy.shape == found.surprise.shape == (4, 4)
    torch.testing.assert_close(found.entropy.flatten(), entropy, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.surprise.flatten(), surprise, atol=1e-4, rtol=0)
    assert entropy.std() > 0.1 and surprise.std() > 0.1
    assert torch.equal(found.picture.pixels, picture.pixels)


def test_what_is_given_wins_over_the_receipt(model, picture):
    found = model.explain(picture, class_id=7, guidance=2.0, temperature=0.5)
    entropy, surprise = by_hand(model, picture.tokens, 7, [2.0] * 16, 0.5)
    torch.testing.assert_close(found.entropy.flatten(), entropy, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.surprise.flatten(), surprise, atol=1e-4, rtol=0)


def test_any_picture_is_read_as_the_codec_sees_it(model, picture, tmp_path):
    """A file has no tokens: they are encoded anew; a stranger's receipt says nothing."""
    picture.save(tmp_path / "a.png")
    codec = model.family.stage.codec
    tokens = codec.encode(picture.to_floats()[None])[0]
    _, surprise = by_hand(model, tokens, 3, [1 + 6 * step / 15 for step in range(16)], 1.0)
    torch.testing.assert_close(model.explain(tmp_path / "a.png").surprise.flatten(), surprise, atol=1e-4, rtol=0)
    stranger = Picture(torch.randint(256, (9, 14, 3), dtype=torch.uint8), receipt={"seed": 1, "controls": {"size": 3}})
    with pytest.raises(ValueError, match="paints classes, not words"):
        model.explain(stranger)
    assert model.explain(stranger, class_id=1).picture.width == 8


def test_greedy_counts_as_temperature_one(model):
    picture = model.generate(class_id=3, seed=5, temperature=0)
    found, warm = model.explain(picture), model.explain(picture, temperature=1.0)
    assert torch.equal(found.entropy, warm.entropy) and found.entropy.min() > 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"class_id": 10}, ValueError, "class_id is 10"),
        ({"top_k": 3}, TypeError, "does not take top_k"),
        ({"prompt": "apple"}, ValueError, "takes class_id alone"),
        ({"guidance": "a"}, ValueError, "guidance is 'a'"),
    ],
)
def test_bad_arguments(model, picture, options, error, message):
    with pytest.raises(error, match=message):
        model.explain(picture, **options)


def test_a_drawing_of_it(model, picture, tmp_path):
    found = model.explain(picture)
    found.save(tmp_path / "why.png")
    assert Picture.load(tmp_path / "why.png").width > 1000
    with pytest.raises(ValueError, match=r"'.*why.jpg' should end in .png, .svg or .pdf"):
        found.save(tmp_path / "why.jpg")
    assert [path.name for path in tmp_path.iterdir()] == ["why.png"]
    assert f"{float(found.surprise.mean()):.2f} bits a place" in repr(found)
