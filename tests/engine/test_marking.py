"""The mark's places, groups and noise, and the sampler with one: determinism, batches, resuming, nothing at 0."""

import pytest
import torch
from tiny_decoders import drawing_decoder

from clavilux.layout import OPEN, Delay, Flattened, parallel
from clavilux.loop import generate_tokens
from clavilux.marking import KeyedNoise, Mark, MarkedTokens, Place, clusters_of, noise_at, nonce_of
from clavilux.sampling import Sampler, SamplingSpec

TOKENS = MarkedTokens("toy", torch.arange(13) // 3)
MARK = Mark(-(2**62) + 5, TOKENS)


def steps(spec, batch=1, plan=None, replay_from=None):
    prompt = torch.zeros(batch, 1, 1, dtype=torch.int64)
    plan = torch.full((1, 1, 30), OPEN) if plan is None else plan
    drawn = generate_tokens(drawing_decoder(), spec, prompt, plan=plan, replay_from=replay_from)
    return torch.stack(list(drawn), dim=2)


def test_the_same_again_another_key_and_another_seed():
    marked = steps(SamplingSpec(seed=(7,), mark=MARK))
    assert torch.equal(marked, steps(SamplingSpec(seed=(7,), mark=MARK)))
    for other in (
        SamplingSpec(seed=(7,)),
        SamplingSpec(seed=(7,), mark=Mark(9, TOKENS)),
        SamplingSpec(seed=(8,), mark=MARK),
    ):
        assert (marked != steps(other)).float().mean() > 0.2


def test_a_row_does_not_depend_on_its_batch_and_goes_on_where_it_was_cut_off():
    alone = steps(SamplingSpec(seed=(7,), mark=MARK))
    together = steps(SamplingSpec(seed=(3, 7, 300), mark=MARK), 3)
    assert torch.equal(together[1:2], alone)
    plan = alone.clone()
    plan[:, :, 11:] = OPEN
    assert torch.equal(steps(SamplingSpec(seed=(7,), mark=MARK), plan=plan, replay_from=5), alone)


def test_a_temperature_of_0_is_never_marked():
    assert torch.equal(steps(SamplingSpec(temperature=0, mark=MARK)), steps(SamplingSpec(temperature=0)))
    assert not SamplingSpec(temperature=0, mark=MARK).is_marked


def test_rows_without_a_place_are_drawn_as_unmarked_ones():
    logits = torch.randn(2, 1, 13, generator=torch.Generator().manual_seed(1))
    spec = SamplingSpec(seed=(1, 2))
    plain = [Sampler(spec, 2, 1, 13).draw(logits, step) for step in range(20)]
    marked = Sampler(SamplingSpec(seed=(1, 2), mark=MARK), 2, 1, 13)
    some = [marked.draw(logits, step, places=[None, Place(step)]) for step in range(20)]
    none = [marked.draw(logits, step, places=[None, None]) for step in range(20)]
    assert all(torch.equal(a, b) for a, b in zip(none, plain, strict=True))
    assert all(a[0] == b[0] for a, b in zip(some, plain, strict=True))
    assert any(a[1] != b[1] for a, b in zip(some, plain, strict=True))


def test_only_the_marked_stream_changes():
    logits = torch.randn(1, 3, 13, generator=torch.Generator().manual_seed(2))
    mark = Mark(5, MarkedTokens("toy", torch.arange(13) // 3, stream=1))
    pairs = [
        (Sampler(SamplingSpec(mark=mark), 1, 3, 13).draw(logits, s), Sampler(SamplingSpec(), 1, 3, 13).draw(logits, s))
        for s in range(20)
    ]
    assert all(torch.equal(a[:, [0, 2]], b[:, [0, 2]]) for a, b in pairs)
    assert any(not torch.equal(a[:, 1], b[:, 1]) for a, b in pairs)


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (parallel(2, 8), [0, 1, 2, 3]),
        (Delay(2, 8, (1, 2), special=8), [None, 0, 1, 2]),
        (Flattened(2, 8), [0, None, 1, None]),
    ],
)
def test_places_follow_the_layout(layout, expected):
    tokens = MarkedTokens.of_codec("toy", torch.randn(8, 3), layout)
    places = [Mark(1, tokens, starts=(10, 20)).places(step, 2) for step in range(4)]
    assert [p[1] and p[1].at - 20 for p in places] == expected
    assert [p[0] and p[0].at - 10 for p in places] == expected


def test_noise_is_that_of_its_key_nonce_voice_place_and_choice():
    noise, found = KeyedNoise(77, 12), {}
    for nonce in (0, 255):
        for place in (Place(0), Place(63), Place(64), Place(500, 3), Place(500, 3, 2)):
            row = torch.tensor(nonce | place.voice << 8)
            expected = noise_at(77, row, torch.tensor(place.at), torch.tensor(place.choice), 12)
            assert torch.equal(noise.at(nonce, place), expected)
            found[nonce, place] = tuple(expected.tolist())
    assert len(set(found.values())) == len(found)


def test_seeds_in_a_row_have_nonces_of_their_own():
    assert len({nonce_of(seed) for seed in range(1000, 1256)}) == 256
    assert nonce_of(-1) == 255 and nonce_of(2**64 - 1) == 255 and nonce_of(3, 2) == 5


def test_clusters_are_of_near_vectors_and_always_the_same():
    centers = torch.tensor([[0.0, 0], [10, 0], [0, 10], [10, 10]])
    points = torch.cat(
        [centers + 0.1 * torch.randn(4, 2, generator=torch.Generator().manual_seed(n)) for n in range(20)]
    )
    found = clusters_of(points, 4)
    assert torch.equal(found, clusters_of(points, 4)) and sorted(found.unique().tolist()) == [0, 1, 2, 3]
    assert all(torch.equal(found[n::4], found[n].expand(20)) for n in range(4))
    assert len(clusters_of(points[:3], 64).unique()) == 3


def test_nonces_for_other_rows_are_refused():
    with pytest.raises(ValueError, match="2 nonces; there should be one for each of 1 rows"):
        Sampler(SamplingSpec(mark=Mark(1, TOKENS, nonces=(1, 2))), 1, 1, 13)
