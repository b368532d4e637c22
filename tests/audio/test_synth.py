import librosa
import numpy as np
import pytest
import torch

from clavilux.audio.loudness import integrated_loudness
from clavilux.audio.programs import DRUM_KEYS, KIN, program_name
from clavilux.audio.room import impulse_response
from clavilux.audio.sampler import Sampler, VolumeEnvelope
from clavilux.audio.score import NOTE, Score
from clavilux.audio.soundfont import FOLDER, Envelope, SoundFont
from clavilux.audio.synth import BLOCK, PIECE_S, ScoreRenderer, events_of, render_score, stream_score

FONT = SoundFont.bundled()
RATE = 44100


def render(events, duration_s, **more):
    renderer = ScoreRenderer(duration_s=duration_s, **more)
    return torch.cat([renderer.feed(events, duration_s), renderer.finish()], dim=1)


def level_db(samples):
    return 10 * float(torch.log10((samples.double() ** 2).mean() + 1e-20))


def tune():
    """Six seconds with most of what can happen: chords, many programs, drums that choke each other."""
    notes = [
        (
            0.11 * i,
            0.05 + 0.3 * (i % 4),
            40 + 7 * i % 45,
            30 + 17 * i % 90,
            (0, 19, 40, 46, 73, 48)[i % 6],
            False,
        )
        for i in range(50)
    ]
    drums = [(0.25 * i, 0.1, (36, 46, 38, 42)[i % 4], 100, 0, True) for i in range(22)]
    return notes + drums


@pytest.mark.parametrize("program", [p for p in FONT.programs if p != 47])  # timpani have no harmonic partials
def test_a4_is_in_tune(program):
    sampler = Sampler(FONT, RATE)
    wave = sum(sampler.note(region, 69, RATE).take(RATE) for region in FONT.regions(program, False, 69, 80))
    wave = wave[4000:30000].astype(np.float64)
    size = 1 << 18
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), size))
    cents = np.arange(-100, 101)
    bins = np.rint(np.outer(440 * 2 ** (cents / 1200), np.arange(1, 7)) * size / RATE).astype(int)
    found = cents[np.log(spectrum[bins] + 1e-9).sum(axis=1).argmax()]
    assert abs(found) <= 15


@pytest.mark.parametrize(("program", "key"), [(0, 48), (19, 55), (40, 76), (42, 43), (73, 79), (57, 50)])
def test_keys_give_their_pitch(program, key):
    samples = render([(0.0, 1.0, key, 90, program, False)], 1.0).mean(0).numpy()
    hz = librosa.midi_to_hz(key)
    found = np.median(librosa.yin(samples[8000:40000], fmin=hz / 1.5, fmax=hz * 1.5, sr=RATE))
    assert abs(1200 * np.log2(found / hz)) < 20


@pytest.mark.parametrize("pieces", [[0.001, 0.37, 0.38, 2.0], [3.3], list(np.arange(0.2, 6, 0.2))])
@pytest.mark.parametrize("duration_s", [6.0, 4.567, None])
def test_pieces_are_the_whole(pieces, duration_s):
    def in_pieces(times):
        renderer, found, start = ScoreRenderer(duration_s=duration_s), [], 0.0
        for end in times:
            # the order inside a piece must not matter
            found.append(renderer.feed([e for e in reversed(tune()) if start <= e[0] < end], end))
            start = end
        return torch.cat([*found, renderer.finish()], dim=1)

    assert torch.equal(in_pieces([*pieces, 6.0]), in_pieces([6.0]))


def test_sound_comes_as_soon_as_it_is_settled():
    renderer = ScoreRenderer(duration_s=30.0)
    assert renderer.feed(tune(), 6.0).shape == (2, 6 * RATE // BLOCK * BLOCK)


@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000])
@pytest.mark.parametrize("duration_s", [0.01, 0.5, 1.2345])
def test_lengths_are_exact(rate, duration_s):
    events = [(0.0, 3.0, 60, 90, 19, False)]
    assert render(events, duration_s, sample_rate=rate).shape == (2, round(duration_s * rate))


def test_the_end_fades():
    samples = render([(0.0, 3.0, 60, 90, 19, False)], 1.0)
    assert samples[:, -1].abs().max() == 0
    assert samples[:, -3000:-2000].abs().max() > 20 * samples[:, -60:].abs().max()


def test_velocity_changes_the_level():
    soft, loud = (render([(0.0, 0.8, 60, v, 0, False)], 1.0) for v in (40, 80))
    assert level_db(loud) - level_db(soft) == pytest.approx(12, abs=3)
    assert render([(0.0, 0.8, 60, 0, 0, False)], 1.0).abs().max() == 0


@pytest.mark.parametrize("program", [0, 6, 11, 24, 46])
def test_struck_and_plucked_notes_die_away(program):
    samples = render([(0.0, 4.0, 60, 90, program, False)], 4.0)
    assert level_db(samples[:, 4410:13230]) - level_db(samples[:, 3 * RATE : 3 * RATE + 8820]) > 15


@pytest.mark.parametrize("program", [19, 40, 52, 60, 73])
def test_held_notes_stay(program):
    samples = render([(0.0, 4.0, 60, 90, program, False)], 4.0)
    assert abs(level_db(samples[:, RATE : 2 * RATE]) - level_db(samples[:, 2 * RATE : 3 * RATE])) < 3


@pytest.mark.parametrize("program", FONT.programs)
def test_notes_begin_and_end_without_clicks(program):
    sampler = Sampler(FONT, RATE)
    for region in FONT.regions(program, False, 60, 90):
        note = sampler.note(region, 60, RATE // 3)
        wave = note.take(len(note))
        assert abs(wave[0]) < 0.01 and abs(wave[-1]) < 0.002
        # where the key is let go the wave goes on: no step larger than the note itself makes
        steps = np.abs(np.diff(wave))
        assert steps[RATE // 3 - 2 : RATE // 3 + 2].max() <= steps[: RATE // 3 - 2].max()


def test_instruments_are_equally_loud():
    events = [(0.5 * i, 0.48, 64 + i, 80, 0, False) for i in range(6)]
    found = {}
    for program in (0, 19, 40, 52, 65, 73, 105):
        samples = render([(*e[:4], program, False) for e in events], 3.2, programs=[program])
        found[program] = integrated_loudness(samples, RATE)
    assert max(found.values()) - min(found.values()) < 6, found


def test_seats():
    def sides(program, key=60, **more):
        samples = render([(0.0, 0.5, key, 90, program, False)], 0.5, **more)
        return level_db(samples[0]) - level_db(samples[1])

    assert sides(40) > 2 and sides(42) < -2  # violins left, cellos right
    assert abs(sides(40, programs=[40])) < 1.2  # alone in the middle, but for the hall's two sides
    assert sides(0, 30) > sides(0, 60) > sides(0, 90)  # the width of a keyboard


def test_the_hall_rings_on():
    samples = render([(0.0, 0.05, 38, 120, 0, True)], 2.0)
    early, late = level_db(samples[:, :8820]), level_db(samples[:, 22050:30870])
    assert -60 < late - early < -15
    response = impulse_response(RATE)
    assert np.allclose((response**2).sum(axis=1), 1, atol=1e-3) and not np.allclose(response[0], response[1])


def test_a_closed_hat_chokes_the_open_one():
    hats = [(0.0, 0.1, 46, 100, 0, True), (0.2, 0.1, 42, 30, 0, True)]
    alone, choked = render(hats[:1], 1.0), render(hats, 1.0)
    span = slice(round(0.4 * RATE), round(0.6 * RATE))
    assert level_db(choked[:, span]) < level_db(alone[:, span]) - 6


def test_every_program_has_a_stand_in():
    assert set(KIN) == set(range(128))
    assert all(FONT.nearest(program) in FONT.programs for program in range(128))
    assert [FONT.nearest(p) for p in (0, 1, 9, 13, 26, 43, 61, 64, 69, 72)] == [
        0,
        0,
        8,
        12,
        24,
        42,
        56,
        65,
        68,
        73,
    ]
    assert program_name(19) == "church organ"
    for key in range(27, 88):
        assert FONT.regions(0, True, DRUM_KEYS.get(key, key), 100), key
    with pytest.raises(ValueError, match="0 and 127"):
        FONT.nearest(128)


def test_every_key_of_every_program_sounds():
    for program in FONT.programs:
        assert all(FONT.regions(program, False, key, v) for key in range(128) for v in (1, 64, 127)), program


def test_sixteen_channels_tempo_changes_and_drums():
    notes = [(0.5 * i, 1, 50 + i, 80, 8 * i, False) for i in range(15)] + [(i, 0.5, 36, 90, 0, True) for i in range(8)]
    score = Score(np.array(notes, NOTE), tempos=((0.0, 60.0), (4.0, 240.0)))
    assert events_of(score.notes, score.seconds_at)["start"].max() == pytest.approx(4 + 3 / 4)
    samples = render_score(score, duration_s=6.0)
    assert samples.shape == (2, 6 * RATE) and 0.02 < samples.abs().max() < 1
    assert torch.equal(samples, render_score(score, duration_s=6.0))


def test_without_a_length_the_last_note_rings_out():
    score = Score(np.array([(0, 1, 60, 80, 0, False)], NOTE))
    samples = render_score(score)
    assert 0.6 * RATE < samples.shape[1] < 6 * RATE
    assert samples[:, -100:].abs().max() < 1e-3 * samples.abs().max()


def test_a_score_is_streamed_in_pieces_that_are_the_whole():
    notes = [(0.5 * i, 0.4 + 3 * (i % 3), 50 + i % 30, 90, (0, 48)[i % 2], i % 7 == 0) for i in range(40)]
    score = Score(np.array(notes[::-1], NOTE))
    pieces = list(stream_score(score))
    events = events_of(score.notes, score.seconds_at)
    renderer = ScoreRenderer(programs=(0, 48))
    whole = torch.cat([renderer.feed(events, score.duration_s), renderer.finish()], dim=1)
    assert torch.equal(torch.cat(pieces, dim=1), whole) and torch.equal(render_score(score), whole)
    assert max(piece.shape[1] for piece in pieces[:-1]) <= (PIECE_S + 1) * RATE


def test_hours_of_rest_after_the_last_note_are_not_played():
    score = Score(np.array([(0, 1, 60, 80, 0, False)], NOTE), length=20000.0)
    assert score.duration_s == 10000 and 10 < render_score(score).shape[1] / RATE < 12


def test_a_score_without_notes_is_silence():
    samples = render_score(Score(np.array([], NOTE), length=4.0))
    assert samples.shape == (2, 2 * RATE) and samples.abs().max() == 0


@pytest.mark.parametrize(
    ("note", "says"),
    [
        ((0.0, 1.0, 128, 80, 0, False), "pitch"),
        ((0.0, 1.0, 60, 200, 0, False), "velocity"),
        ((0.0, 1.0, 60, 80, -1, False), "program"),
        ((float("nan"), 1.0, 60, 80, 0, False), "NaN"),
        ((2.0, 1.0, 60, 80, 0, False), "before 1.0"),
    ],
)
def test_bad_notes(note, says):
    with pytest.raises(ValueError, match=says):
        ScoreRenderer().feed([note], 1.0)


@pytest.mark.parametrize("duration_s", [0, -1, float("nan"), float("inf")])
def test_bad_lengths(duration_s):
    with pytest.raises(ValueError, match="positive number of seconds"):
        ScoreRenderer(duration_s=duration_s)


def test_a_finished_renderer_says_so():
    renderer = ScoreRenderer(duration_s=0.1)
    renderer.finish()
    with pytest.raises(ValueError, match="finished"):
        renderer.feed([], 1.0)
    other = ScoreRenderer()
    other.feed([], 2.0)
    with pytest.raises(ValueError, match="go back"):
        other.feed([], 1.0)


def test_envelope():
    shape = Envelope(delay=0.0, attack=0.1, hold=0.1, decay=1.0, sustain_db=20.0, release=0.5)
    whole = VolumeEnvelope(shape, 1000, 1000)
    envelope = whole.piece(0, len(whole))
    assert envelope[50] == pytest.approx(0.5, abs=0.01) and envelope[150] == pytest.approx(1)
    assert envelope[300] == pytest.approx(10 ** (-10 / 20), abs=0.01)  # 10 dB down after a tenth of the decay
    assert envelope[900] == pytest.approx(0.1, abs=0.001)
    assert envelope[1100] == pytest.approx(0.1 * 10 ** (-20 / 20), rel=0.05)
    assert len(envelope) == pytest.approx(1000 + 0.76 * 500, abs=2)


def test_the_bundled_file_is_small_and_has_its_licence():
    assert (FOLDER / "clavilux.sf3").stat().st_size <= 8 * 2**20
    assert "Permission is hereby granted" in (FOLDER / "NOTICE.md").read_text()


def test_bad_soundfonts(tmp_path):
    whole = (FOLDER / "clavilux.sf3").read_bytes()
    for name, content in (
        ("empty", b""),
        ("text", b"hello" * 100),
        ("cut", whole[:5_000_000]),
        ("none", None),
    ):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ValueError, match="not a SoundFont"):
            SoundFont(path)
    with pytest.raises(ValueError, match="no such file"):
        SoundFont(tmp_path / "missing")
