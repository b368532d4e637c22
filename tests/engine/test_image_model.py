"""Pictures from Python, by the bundled model's call: seeds, batches, streams, edits, receipts, and what is refused."""

import json

import pytest
import torch

import clavilux
from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder, DecoderSpec
from clavilux.families.grid_family import GridFamily
from clavilux.family import Stage
from clavilux.image.codecs.clusters import ColourClusters
from clavilux.image.codecs.residual import ResidualVQ, ResidualVQSpec
from clavilux.image.picture import Picture
from clavilux.image_family import PictureGeneration
from clavilux.image_model import ImageModel
from clavilux.layout import OPEN, Delay
from clavilux.sampling import SamplingSpec

SIDE, V = 8, 16
WORDS = ["red", "apple", "blue", "boat"]


class Toy(GridFamily):
    """A pixel a token, told by the number of known words in the prompt."""

    accepts = {"shade": "a number, 0 to 3"}  # noqa: RUF012

    def generation(self, request):
        known = sum(word in WORDS for word in request.prompt.split()) + request.controls.get("shade", 0)
        prefixes = [torch.randn(1, 2, 24, generator=torch.Generator().manual_seed(n)) for n in (known, 9)]
        decoder = self.decoder if request.size == self.size else self.decoder.for_image_size(request.size, request.size)
        return PictureGeneration(self, request, decoder, *(Conditioning(prefix=prefix) for prefix in prefixes))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    spec = DecoderSpec(
        width=24, layers=2, heads=3, head_dim=8, ffn_width=32, vocabulary=V, max_positions=2 + SIDE**2, norm="rms",
        positions="rope_2d", grid_columns=SIDE, grid_prefix=2,
    )  # fmt: skip
    decoder = Decoder(spec).eval().requires_grad_(False)
    for parameter in decoder.parameters():
        if parameter.ndim > 1:
            parameter.normal_(std=0.4)
    codec = ColourClusters(torch.rand(V, 3) * 2 - 1)
    identity = {"model": "toy", "fingerprint": "0f", "dtype": "float32"}
    return ImageModel(Toy("toy", decoder, codec, SamplingSpec(guidance=2.0, top_k=9), SIDE, identity))


@pytest.fixture(scope="module")
def apple(model):
    return model.generate("red apple", seed=3)


def test_a_picture_has_its_size_tokens_and_receipt(apple):
    assert (apple.width, apple.height) == (SIDE, SIDE)
    assert apple.tokens.shape == (1, SIDE**2)
    assert apple.receipt == {
        "model": "toy", "fingerprint": "0f", "dtype": "float32", "prompt": "red apple", "size": SIDE, "seed": 3,
        "controls": {}, "notes": [], "mark": "none",
        "settings": {"temperature": 1.0, "top_k": 9, "top_p": 1.0, "guidance": 2.0},
    }  # fmt: skip


def test_the_same_seed_paints_the_same_picture_and_another_differs(model, apple):
    assert torch.equal(model.generate("red apple", seed=3).tokens, apple.tokens)
    assert not torch.equal(model.generate("red apple", seed=4).tokens, apple.tokens)
    assert not torch.equal(model.generate("red apple boat", seed=3).tokens, apple.tokens)
    assert not torch.equal(model.generate("red apple", seed=3, shade=1).tokens, apple.tokens)
    drawn = [model.generate("red apple").receipt["seed"] for _ in range(2)]
    assert drawn[0] != drawn[1]


def test_a_row_does_not_depend_on_its_batch(model, apple):
    rows = model.generate(["boat", "red apple", "blue boat"], seed=[8, 3, 5])
    assert torch.equal(rows[1].tokens, apple.tokens)
    assert [row.receipt["seed"] for row in rows] == [8, 3, 5]
    batch = model.generate("red apple", seed=2, batch=2)
    assert torch.equal(batch[1].tokens, apple.tokens)


def test_another_size(model):
    picture = model.generate("red apple", size=4, seed=1)
    assert (picture.width, picture.tokens.shape) == (4, (1, 16))


def test_rows_arrive_one_after_another(model, apple):
    shown = list(model.stream("red apple", seed=3))
    assert len(shown) == SIDE
    for row, picture in enumerate(shown, 1):
        assert torch.equal(picture.pixels[:row], apple.pixels[:row])
        assert row == SIDE or picture.pixels[row:].eq(128).all()
        assert (picture.tokens is None) == (row < SIDE)
    assert shown[-1].receipt == apple.receipt
    pairs = list(model.stream("red apple", seed=2, batch=2))
    assert len(pairs) == SIDE and torch.equal(pairs[-1][1].pixels, apple.pixels)


def test_some_rows_are_shown(model, apple):
    shown = list(model.stream("red apple", seed=3, every=3))
    assert [int(picture.pixels.eq(128).all((1, 2)).sum()) for picture in shown] == [5, 2, 0]
    assert torch.equal(shown[-1].tokens, apple.tokens)
    with pytest.raises(ValueError, match="every is 0; it should be a whole number of rows"):
        model.stream("red apple", every=0)


def test_progress_counts_all_tokens(model):
    seen = []
    model.generate("boat", batch=2, seed=1, progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (2, 2 * SIDE**2) and seen[-1] == (2 * SIDE**2, 2 * SIDE**2)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_schedule_of_guidance(model, apple):
    assert torch.equal(model.generate("red apple", seed=3, guidance="2:2").tokens, apple.tokens)
    assert torch.equal(model.generate("red apple", seed=3, guidance="2").tokens, apple.tokens)
    rising = model.generate("red apple", seed=3, guidance="1:2:7.5")
    assert not torch.equal(rising.tokens, apple.tokens)
    assert rising.receipt["settings"]["guidance"] == "1:2:7.5"
    json.dumps(rising.receipt)
    with pytest.raises(ValueError, match="guidance is '1:much'; it should be a number, or numbers with colons"):
        model.generate("red apple", guidance="1:much")


def test_the_upper_rows_are_kept(model, apple, tmp_path):
    apple.save(tmp_path / "apple.png")
    Picture(apple.pixels[:5]).save(tmp_path / "half.png")
    more = model.generate("boat", seed=4, continue_from=tmp_path / "half.png")
    assert torch.equal(more.pixels[:5], apple.pixels[:5]) and not torch.equal(more.pixels, apple.pixels)
    with pytest.raises(ValueError, match="has all 8 rows already"):
        model.generate("boat", continue_from=tmp_path / "apple.png")
    with pytest.raises(ValueError, match="less than a row of tokens"):
        model.generate("boat", continue_from=Picture(torch.zeros(1, 40, 3, dtype=torch.uint8)))


def test_a_wider_picture_is_scaled_to_the_width(model):
    more = model.generate("boat", seed=4, continue_from=Picture(torch.zeros(20, 40, 3, dtype=torch.uint8)))
    assert more.receipt["notes"] == ["keeps 4 of 8 rows of tokens"]


def test_a_region_is_kept_where_it_is(model, apple):
    other = model.generate("boat", seed=9, continue_from=apple, keep=(2, 3, 4, 2))
    kept = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    kept[3:5, 2:6] = True
    assert torch.equal(other.pixels[kept], apple.pixels[kept])
    assert (other.pixels[~kept] != apple.pixels[~kept]).any(1).float().mean() > 0.5
    keeps, blind = other.receipt["notes"]
    assert keeps == "keeps 8 of 64 tokens"
    assert "so 30 new ones do not see all that is kept" in blind
    assert other.receipt["controls"] == {"keep": [2, 3, 4, 2]}


def test_what_comes_after_a_kept_region_sees_it(model, apple):
    """Two kept regions that differ leave all before them alike and change what comes after."""
    changed = Picture(apple.pixels.flip(0))
    one, two = (model.generate("boat", seed=9, continue_from=each, keep=(0, 4, 8, 1)) for each in (apple, changed))
    assert torch.equal(one.tokens[:, : 4 * SIDE], two.tokens[:, : 4 * SIDE])
    assert not torch.equal(one.tokens[:, 5 * SIDE :], two.tokens[:, 5 * SIDE :])


def test_variations_keep_a_share(model, apple):
    others = model.generate("boat", seed=[5, 6], batch=2, continue_from=apple, vary=0.75)
    for other in others:
        assert (other.tokens == apple.tokens).sum() >= 48
        assert other.receipt["notes"][0] == "keeps 48 of 64 tokens"
    assert not torch.equal(others[0].tokens, others[1].tokens)
    again = model.generate("boat", seed=6, continue_from=apple, vary=0.75)
    assert torch.equal(again.tokens, others[1].tokens)


def test_its_own_tokens_are_taken_as_they_are(model, apple, monkeypatch):
    def never(pixels):
        raise AssertionError("encoded")

    monkeypatch.setattr(model.family.stage.codec, "encode", never)
    other = model.generate("boat", seed=9, continue_from=apple, vary=0.5)
    assert (other.tokens == apple.tokens).sum() >= 32
    stranger = Picture(apple.pixels, apple.tokens, apple.receipt | {"fingerprint": "another"})
    with pytest.raises(AssertionError, match="encoded"):
        model.generate("boat", seed=9, continue_from=stranger, vary=0.5)


def test_a_file_brings_its_receipt_back(apple, tmp_path):
    for ending in (".png", ".jpg", ".webp"):
        apple.save(tmp_path / f"apple{ending}")
        assert Picture.load(tmp_path / f"apple{ending}").receipt == apple.receipt


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"colour": 1}, TypeError, "toy does not take colour; it takes batch, continue_from, guidance, keep, .*shade"),
        ({"seconds": 3}, TypeError, "toy does not take seconds"),
        ({"size": 0}, ValueError, "size is 0; it should be a multiple of 1"),
        ({"size": 2049}, ValueError, "size is 2049"),
        ({"size": 8.0}, TypeError, "size is 8.0; it should be a whole number of pixels"),
        ({"seed": "x"}, TypeError, "seed is 'x'"),
        ({"seed": [1, 2]}, ValueError, "there are 2 seeds"),
        ({"temperature": -1}, ValueError, "temperature is -1"),
        ({"keep": (0, 0, 2, 2)}, ValueError, "keep is given without a picture"),
        ({"vary": 0.5}, ValueError, "vary is given without a picture"),
        ({"continue_from": 3}, TypeError, "continue_from is int"),
        ({"continue_from": "none.png"}, ValueError, "no file 'none.png'"),
        ({"continue_from": True, "keep": (0, 0, 9, 2)}, ValueError, "should lie within the 8 x 8 pixels"),
        ({"continue_from": True, "keep": (0, 0, 0, 2)}, ValueError, "should lie within"),
        ({"continue_from": True, "keep": (0, 0, 2)}, ValueError, "four whole numbers of pixels"),
        ({"continue_from": True, "keep": (0, 0, 8, 8)}, ValueError, "nothing is left to paint"),
        ({"continue_from": True, "vary": 1.5}, ValueError, "vary is 1.5; it should be the share"),
        ({"continue_from": True, "vary": 1.0}, ValueError, "nothing is left to paint"),
    ],
    ids=str,
)
def test_bad_arguments(model, apple, options, error, message):
    if options.get("continue_from") is True:
        options = options | {"continue_from": apple}
    with pytest.raises(error, match=message):
        model.generate("boat", **options)


def test_the_plan_of_a_new_picture_is_open(model):
    _, [picture], _ = model._prepare("boat", None, 1, 1, (None, None, None), {})
    assert picture.plan.eq(OPEN).all()


def test_the_public_name():
    assert clavilux.Picture is Picture


@pytest.fixture(scope="module")
def layered():
    """Three codebooks in a delay layout."""
    torch.manual_seed(2)
    sizes = ResidualVQSpec(
        codebooks=3, vocabulary=V, embedding_width=4, patch=1, encoder=(4, 4), decoder=(4, 4), encoder_blocks=(1, 1),
        decoder_blocks=(1, 1), norm_groups=2,
    )  # fmt: skip
    codec = ResidualVQ(sizes).requires_grad_(False).eval()
    spec = DecoderSpec(
        width=24, layers=2, heads=3, head_dim=8, ffn_width=32, vocabulary=V + 1, output_vocabulary=V, codebooks=3,
        max_positions=2 + 16 + 2, norm="rms",
    )  # fmt: skip
    decoder = Decoder(spec).eval().requires_grad_(False)
    for parameter in decoder.parameters():
        if parameter.ndim > 1:
            parameter.normal_(std=0.4)
    identity = {"model": "layered", "fingerprint": "1e", "dtype": "float32"}
    family = Toy("layered", decoder, codec, SamplingSpec(guidance=2.0), SIDE, identity)
    family.stage = Stage(decoder, Delay(3, V, (0, 1, 2), special=V), None, codec)
    return ImageModel(family)


def test_several_codebooks_a_place(layered):
    picture = layered.generate("red apple", seed=3)
    assert picture.tokens.shape == (3, 16)
    painted = layered.family.stage.codec.decode(picture.tokens[None])[0]
    assert torch.equal(Picture.from_floats(painted).pixels, picture.pixels)
    shown = list(layered.stream("red apple", seed=3))
    assert len(shown) == 4 and torch.equal(shown[-1].tokens, picture.tokens)
    assert shown[0].pixels[2:].eq(128).all()


def test_several_codebooks_are_kept_together(layered):
    picture = layered.generate("red apple", seed=3)
    other = layered.generate("boat", seed=5, continue_from=picture, keep=(0, 2, 4, 4))
    kept = torch.zeros(4, 4, dtype=torch.bool)
    kept[1:3, :2] = True
    ours, theirs = other.tokens.view(3, 4, 4), picture.tokens.view(3, 4, 4)
    assert torch.equal(ours[:, kept], theirs[:, kept]) and not torch.equal(ours, theirs)


def test_several_codebooks_are_explained_together(layered):
    """Its bits are those of the three tokens of a place, which the delays spread over three steps."""
    picture = layered.generate("red apple", seed=3)
    found = layered.explain(picture)
    _, [job], sampling = layered._prepare("red apple", None, 3, 1, (None, None, None), {})
    steps = layered.family.stage.layout.arrange(picture.tokens[None])
    both = Conditioning.stack([job.conditioning, job.unconditional])
    state = layered.family.decoder.new_state(2, both)
    surprise = torch.zeros(16)
    for step in range(steps.shape[2]):
        if step:
            c, u = layered.family.decoder.prefill(steps[:, :, step - 1 : step].repeat(2, 1, 1), state)
        else:
            c, u = layered.family.decoder.prefill(steps[:, :, :0].repeat(2, 1, 1), state)
        bits = -(u + 2 * (c - u)).log_softmax(-1) / torch.tensor(2.0).log()
        for k in range(3):
            if 0 <= step - k < 16:
                surprise[step - k] += bits[k, steps[0, k, step]]
    torch.testing.assert_close(found.surprise.flatten(), surprise, atol=1e-4, rtol=0)
    assert sampling.guidance == 2.0
