import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

import clavilux
from clavilux.audio.codecs.note_frames import encode_frames
from clavilux.audio.codecs.remi import score_tokens
from clavilux.audio.score import NOTE, Score
from clavilux.conditioning import Conditioning
from clavilux.families.aria.family import Aria, Composer
from clavilux.families.aria.formats import FrameFormat
from clavilux.families.aria.heads import heads_of
from clavilux.families.aria.prefix import PrefixControls
from clavilux.training.note_composer import ComposerSpec

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import note_nats
from note_nats import PARTS, Told, by_label, frame_nats, token_nats

NOTHING = PrefixControls(-1, -1, -1, -1, ())


@pytest.fixture(scope="module")
def aria():
    return clavilux.load("aria").family


def test_every_kind_of_token_is_counted_or_forced():
    from clavilux.training.composer import FORCED_KINDS

    assert set(score_tokens().kinds) == {*note_nats.PART_OF_KIND, *FORCED_KINDS}


def test_a_short_piece_is_one_window(aria):
    ids = np.random.default_rng(0).integers(1, len(score_tokens()), 60)
    found = token_nats(aria, ids, NOTHING)
    prefix = Conditioning(prefix=aria.composer.conditioner([NOTHING]))
    with torch.no_grad():
        logits = aria.composer.decoder(torch.from_numpy(ids)[None, None], conditioning=prefix)[0, 0, :-1]
    expected = cross_entropy(logits, torch.from_numpy(ids[1:]), reduction="none").numpy()
    assert found[0] == 0
    np.testing.assert_allclose(found[1:], expected, rtol=1e-4, atol=1e-4)


def test_every_token_of_a_long_piece_is_judged_once_behind_half_a_window(aria):
    length = aria.composer.decoder.spec.max_positions - 5  # less the prefix
    ids = np.random.default_rng(1).integers(1, len(score_tokens()), length + 200)
    found = token_nats(aria, ids, NOTHING)
    assert (found[1:] > 0).all()
    np.testing.assert_allclose(found[:length], token_nats(aria, ids[:length], NOTHING), rtol=1e-3, atol=1e-3)
    later = token_nats(aria, ids[length // 2 : length // 2 + length], NOTHING)
    np.testing.assert_allclose(found[length:], later[length - length // 2 :], rtol=1e-3, atol=1e-3)


def test_nats_are_of_a_note_by_kind():
    one, two = (dict.fromkeys(PARTS, nats) for nats in (10.0, 30.0))
    found = by_label([("reel", Told(one, 10)), ("reel", Told(two, 10)), ("jig", Told(one, 20))])
    assert found["reel"]["pitch"] == 2 and found["jig"]["pitch"] == 0.5
    assert found["reel"]["note"] == 8 and found["reel"]["all"] == 10
    assert found["all labels"]["note"] == 5 and found["all labels"]["notes"] == 40
    assert (found["reel"]["pieces"], found["all labels"]["pieces"]) == (2, 3)


def test_another_family_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'lumia' is no composer of notes"):
        note_nats.scorer_of("lumia", tmp_path)


def test_ids_of_frames_are_judged_in_their_own_steps():
    """As `Aria.logits`, which undoes the delays, sees them."""
    torch.manual_seed(0)
    spec = ComposerSpec(width=16, layers=1, heads=2, ffn_width=16, context=40)
    aria = Aria(Composer(spec.decoder(), 2).eval(), FrameFormat(), ("reel", "jig"), {})
    aria.composer.decoder.make_tables()
    notes = [(i / 2, 0.5, 60 + i % 8, 80, 40, False) for i in range(24)]
    score = Score(np.array(notes, NOTE), length=12.0)
    frames = encode_frames(score, heads_of(score)).astype(np.int64)[:, :-1]
    found = frame_nats(aria, frames, NOTHING)
    steps = aria.writing.layout.arrange(torch.from_numpy(frames)[None])
    prefix = Conditioning(prefix=aria.composer.conditioner([NOTHING]))
    with torch.no_grad():
        logits = aria.composer.decoder(steps[:, :, :-1], conditioning=prefix)
    first = torch.zeros_like(logits[:, :, :1])
    log_p = aria.writing.layout.restore_logits(torch.cat([first, logits], 2)).log_softmax(-1)
    expected = -log_p[0].gather(-1, torch.from_numpy(frames)[..., None])[..., 0].numpy()
    assert frames.shape[1] < 40 and (found[:, 0] == 0).all()
    np.testing.assert_allclose(found[:, 1:], expected[:, 1:], rtol=1e-4, atol=1e-4)
    longer = np.concatenate([frames] * 3, axis=1)  # three windows: each id once, none for nothing
    assert (frame_nats(aria, longer, NOTHING)[:, 1:] > 0).all()
