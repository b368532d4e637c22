"""How the bundled SoundFont is made: cut out of a larger one, and measured."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import soundfont_build
import soundfont_measure

from clavilux.audio.sampler import Sampler
from clavilux.audio.soundfont import SoundFont


def test_what_is_cut_out_of_the_bundled_file_is_the_bundled_file():
    """Presets, zones, modulators and samples are carried over whole, and renumbered in one order."""
    path = SoundFont.bundled().path
    assert soundfont_build.subset(path) == path.read_bytes()


def test_fewer_programs_are_a_smaller_file_that_plays_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(soundfont_build, "PROGRAMS", (14, 73))
    path = tmp_path / "small.sf3"
    path.write_bytes(soundfont_build.subset(SoundFont.bundled().path))
    small, whole = SoundFont(path), SoundFont.bundled()
    assert small.programs == (14, 73)
    for program, drum in ((14, False), (73, False), (0, True)):
        held, expected = (font.regions(program, drum, 60, 80) for font in (small, whole))
        assert len(held) == len(expected) > 0
        for own, other in zip(held, expected, strict=True):
            assert (small.sample(own.sample) == whole.sample(other.sample)).all()
            assert (own.keys, own.envelope, own.cutoff_hz) == (other.keys, other.envelope, other.cutoff_hz)


def test_other_formats_are_refused(tmp_path):
    data = bytearray(SoundFont.bundled().path.read_bytes())
    at = data.index(b"ifil") + 8
    data[at : at + 2] = b"\x02\x00"
    (tmp_path / "old.sf2").write_bytes(data)
    with pytest.raises(SystemExit, match="is not an SF3 file"):
        soundfont_build.subset(tmp_path / "old.sf2")


@pytest.mark.parametrize("program", [0, 73])
def test_bundled_presets_are_equally_loud(program):
    assert soundfont_measure.loudness(program, False) == pytest.approx(soundfont_measure.TARGET_LUFS, abs=0.2)


def test_a_sample_that_is_out_of_tune_is_found():
    """The corrections in clavilux.json were found so: without them a sample is that far off, with them it is not."""
    font = SoundFont.bundled()
    corrections = {int(number): cents for number, cents in font._settings["tune_cents"].items()}
    region = next(
        region
        for program in font.programs
        for key in range(60, 80)
        for region in font.regions(program, False, key, soundfont_measure.VELOCITY)
        if region.sample in corrections
    )
    sampler = Sampler(font, soundfont_measure.RATE)
    cents = corrections[region.sample]
    plain = replace(region, root=region.root + cents / 100)
    assert soundfont_measure.sharpness(sampler, region) == pytest.approx(0, abs=2)
    assert soundfont_measure.sharpness(Sampler(font, soundfont_measure.RATE), plain) == pytest.approx(-cents, abs=2)
