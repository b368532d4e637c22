"""What controllers do to sound: pedals, volume, pan, bend, bank; and that they leave everything else as it was."""

import librosa
import numpy as np
import pytest
import torch
from midi_files import control, file, note, text, track, tune

from clavilux.audio.controllers import sounding_durations
from clavilux.audio.expression import PartExpression
from clavilux.audio.notes import BANK, BEND, CONTROL, EXPRESSION, PAN, SOFT, SOSTENUTO, SUSTAIN, VOLUME
from clavilux.audio.score import NOTE, Score
from clavilux.audio.soundfont import SoundFont
from clavilux.audio.synth import ScoreRenderer, render_score, score_events

RATE = 44100


def score_of(*rows, controls=(), **more):
    notes = np.array([(*row, *(80, 0, False)[len(row) - 3 :]) for row in rows], dtype=NOTE)
    return Score(notes, controls=np.array(list(controls), CONTROL), **more)


def rms(samples, start_s=0.0, end_s=None):
    part = samples[:, round(start_s * RATE) : None if end_s is None else round(end_s * RATE)].double()
    return float((part**2).mean().sqrt())


def durations(*rows, controls):
    score = score_of(*rows, controls=controls)
    return sounding_durations(score.notes, score.controls).tolist()


def test_how_long_pedals_hold():
    press = [(0.5, 0, SUSTAIN, 127), (3, 0, SUSTAIN, 0)]
    assert durations((0, 1, 60), (2, 4, 62), controls=press) == [3, 4]
    assert durations((0, 1, 60), (2, 0.5, 60), controls=press) == [2, 1]  # struck again, then held
    assert durations((0, 0.25, 60), controls=press) == [0.25]  # let go before
    assert durations((0, 1, 36, 80, 0, True), controls=press) == [1]
    assert durations((0, 1, 60), (4, 1, 62), controls=press[:1]) == [5, 1]  # never let go
    at_once = [(0, 0, SUSTAIN, 127), (1, 0, SUSTAIN, 0), (1, 0, SUSTAIN, 127), (2, 0, SUSTAIN, 0)]
    assert durations((0, 1, 60), controls=at_once) == [1]  # the pedal changes as the key is let go
    keys = [(0.5, 0, SOSTENUTO, 127), (3, 0, SOSTENUTO, 0)]
    assert durations((0, 1, 60), (1, 1, 64), controls=keys) == [3, 1]  # only what was down already
    assert durations((0, 1, 60), controls=[(0, 0, SUSTAIN, 63), (9, 0, SUSTAIN, 0)]) == [1]


def test_a_pedal_lets_notes_ring_and_the_score_stays_as_written():
    rows = [(0, 0.25, 48), (0.5, 0.25, 64)]
    dry, held = score_of(*rows), score_of(*rows, controls=[(0, 0, SUSTAIN, 127), (6, 0, SUSTAIN, 0)])
    assert held.notes["duration"].tolist() == [0.25, 0.25]
    assert rms(render_score(held), 1.0, 1.5) > 20 * rms(
        torch.nn.functional.pad(render_score(dry), (0, RATE * 2)), 1, 1.5
    )


def test_volume_0_is_silence_and_is_said(tmp_path):
    (tmp_path / "a.mid").write_bytes(file(track(control(7, 0), tune()), track(note(60, channel=1))))
    score = Score.from_midi(tmp_path / "a.mid")
    assert score.remarks == ("not heard, as its volume is 0: acoustic grand piano (5 notes)",)
    assert render_score(score.slice(1.0, 4.0)).abs().max() == 0
    assert rms(render_score(score)) > 0


@pytest.mark.parametrize(("kind", "value"), [(VOLUME, 50), (EXPRESSION, 63.5)])
def test_volume_and_expression_are_gains_of_a_part(kind, value):
    rows = [(0, 4, 60)]
    full = render_score(score_of(*rows), duration_s=2)
    half = render_score(score_of(*rows, controls=[(0, 0, kind, value)]), duration_s=2)
    torch.testing.assert_close(half, full / 4)
    later = render_score(score_of(*rows, controls=[(2, 0, kind, value)]), duration_s=2)
    torch.testing.assert_close(later[:, : RATE - 128], full[:, : RATE - 128])
    assert 0.2 < rms(later, 1.6, 1.9) / rms(full, 1.6, 1.9) < 0.3  # the hall still holds some of the louder part


def test_controllers_move_their_own_part_alone():
    rows = [(0, 2, 60)]
    muted = np.concatenate([score_of(*rows).notes] * 2)
    muted["part"][1] = 1
    muted["program"][1] = 40
    score = Score(muted, controls=np.array([(0, 1, VOLUME, 0)], CONTROL))
    torch.testing.assert_close(
        render_score(score, duration_s=2), render_score(score_of(*rows), duration_s=2), atol=0.02, rtol=0
    )
    assert render_score(score.with_programs(40), duration_s=2).abs().max() > 0


def test_pan_moves_from_the_seat_to_the_side():
    def sides(value):
        left, right = render_score(score_of((0, 2, 60), controls=[(0, 0, PAN, value)]), duration_s=1).double()
        return float((left**2).mean()), float((right**2).mean())

    for value, sign in ((0, 1), (30, 1), (100, -1), (127, -1)):
        left, right = sides(value)
        assert sign * (left - right) > 0
    left, right = sides(127)
    assert right > 10 * left  # what is left there is the hall
    plain = render_score(score_of((0, 2, 60)), duration_s=1)
    assert torch.equal(render_score(score_of((0, 2, 60), controls=[(0, 0, PAN, 64)]), duration_s=1), plain)


@pytest.mark.parametrize("semitones", [2.0, -0.5, 7.0])
def test_the_wheel_bends_the_pitch(semitones):
    score = score_of((0, 4, 69, 80, 73), controls=[(0, 0, BEND, semitones), (2, 0, BEND, 0)], tempos=((0.0, 120.0),))
    samples = render_score(score, duration_s=2).mean(0).numpy()
    for begin, expected in ((0.3, semitones), (1.3, 0.0)):
        part = samples[round(begin * RATE) : round((begin + 0.5) * RATE)]
        found = np.median(librosa.yin(part, fmin=200, fmax=1000, sr=RATE))
        assert abs(12 * np.log2(found / 440) - expected) < 0.2


def test_soft_pedal_and_banks():
    plain = render_score(score_of((0, 2, 60)), duration_s=1)
    soft = render_score(score_of((0, 2, 60), controls=[(0, 0, SOFT, 127)]), duration_s=1)
    torch.testing.assert_close(soft, plain * 10 ** (-4 / 20))
    font = SoundFont.bundled()
    assert font.bank(0, 8 * 128) == 0 and font.bank(0, 0) == 0
    other = render_score(score_of((0, 2, 60), controls=[(0, 0, BANK, 8 * 128)]), duration_s=1)
    assert torch.equal(other, plain)


def test_pieces_of_a_stream_are_the_whole():
    rows = [(q / 2, 0.5, 60 + q % 7, 80, (0, 40)[q % 2]) for q in range(24)]
    fades = [(q / 8, 0, VOLUME, 127 - q) for q in range(96)] + [(q / 3, 0, PAN, 5 * q % 128) for q in range(36)]
    bends = [(q / 5, 0, BEND, q % 3 - 1) for q in range(60)] + [(2, 0, SUSTAIN, 127), (5, 0, SUSTAIN, 0)]
    events, controls = score_events(score_of(*rows, controls=fades + bends))

    def pieces(times):
        renderer, found, start = ScoreRenderer(duration_s=6.0, controls=controls), [], 0.0
        for end in times:
            found.append(renderer.feed(events[(events["start"] >= start) & (events["start"] < end)], end))
            start = end
        return torch.cat([*found, renderer.finish()], dim=1)

    assert torch.equal(pieces([0.3, 0.31, 2.0, 6.0]), pieces([6.0]))


def test_a_change_is_spread_and_never_late():
    moves = PartExpression(np.array([(1000 / RATE, 0, VOLUME, 0)], CONTROL), RATE)
    gain = moves.gain(0, 4096)
    assert gain[:896].min() == 1 and gain[1024:].max() == 0 and (np.diff(gain) <= 0).all()
    assert moves.gain(2048, 512) == 0.0 and moves.gain(0, 512) == 1.0


def test_controllers_go_with_their_score(tmp_path):
    fade = [(q, 0, VOLUME, 100 - 10 * q) for q in range(8)] + [(2, 0, SUSTAIN, 127), (6, 0, SUSTAIN, 0)]
    score = score_of(*[(q, 1, 60) for q in range(8)], controls=[*fade, (3, 0, BEND, 1.5), (4, 0, BANK, 130)])
    cut = score.slice(4, 8)
    assert cut.controls[cut.controls["time"] == 0][["kind", "value"]].tolist() == [
        (VOLUME, 60), (SUSTAIN, 127), (BEND, 1.5), (BANK, 130),
    ]  # fmt: skip
    joined = score.slice(0, 4).concat(cut)
    assert joined.controls.tolist() == score.controls.tolist()
    assert score.transposed(2).controls.tolist() == score.with_programs(40).controls.tolist() == score.controls.tolist()
    after = score.slice(0, 5).concat(score_of((0, 1, 60)))  # what comes later is not under the pedal
    assert after.controls[after.controls["time"] == 5][["kind", "value"]].tolist() == [
        (VOLUME, 100), (SUSTAIN, 0), (BEND, 0), (BANK, 0),
    ]  # fmt: skip
    score.save_midi(tmp_path / "a.mid")
    again = Score.from_midi(tmp_path / "a.mid")
    for name in CONTROL.names:
        np.testing.assert_allclose(again.controls[name], score.controls[name], atol=1e-3)
    again.save_midi(tmp_path / "b.mid")
    assert (tmp_path / "a.mid").read_bytes() == (tmp_path / "b.mid").read_bytes()


def test_parts_keep_their_tracks_names_and_controllers(tmp_path):
    tracks = [track(text(3, name), control(10, pan, channel=c), *([b"\x00" + bytes([0xC0 | c, 40])]), tune(c))
              for c, (name, pan) in enumerate((("I", 20), ("II", 100)))]  # fmt: skip
    (tmp_path / "a.mid").write_bytes(file(*tracks))
    score = Score.from_midi(tmp_path / "a.mid")
    score.save_midi(tmp_path / "b.mid")
    data = (tmp_path / "b.mid").read_bytes()
    assert b"violin 1" in data and b"violin 2" in data
    again = Score.from_midi(tmp_path / "b.mid")
    assert len(again.notes) == 10 and set(again.notes["part"]) == {0, 1}
    assert sorted(again.controls[["part", "value"]].tolist()) == [(0, 20), (1, 100)]


def test_more_parts_than_channels_share_them_by_instrument(tmp_path):
    notes = np.concatenate([score_of((0, 1, 60, 80, 40), (0, 1, 48, 80, 42)).notes] * 12)
    notes["part"] = np.arange(24)
    pans = [(0, part, PAN, 5 * part) for part in range(24)]
    score = Score(notes, controls=np.array(pans, CONTROL))
    score.save_midi(tmp_path / "a.mid")
    again = Score.from_midi(tmp_path / "a.mid")
    assert len(again.notes) == 24 and again.remarks == ()
    seated = {(row[4], row[6]) for row in again.notes.tolist()}
    moved = {part: value for _, part, _, value in again.controls.tolist()}
    assert len(seated) == 24
    assert sorted(moved.get(part, 64) for _, part in seated) == sorted(
        value if value != 64 else 64 for *_, value in pans
    )
