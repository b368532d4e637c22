"""Keys of a mark: ids, words, files that only their owner can read, and no secret in anything that is shown."""

import stat

import pytest
import torch
from commands import call

from clavilux.mark_key import NONE, PUBLIC, MarkKey, in_receipt, key_of, new_key, read_key, said
from clavilux.marking import Mark, MarkedTokens
from clavilux.sampling import SamplingSpec


def test_ids_and_words_tell_keys_and_kinds_apart_and_stay_as_they_are():
    assert PUBLIC.id == "a31af279"  # receipts name it
    assert PUBLIC.word("score") != PUBLIC.word("picture") != MarkKey(bytes(32)).word("picture")
    assert -(2**63) <= PUBLIC.word("score") < 2**63


def test_a_new_key_is_its_owners_alone_and_read_again(tmp_path):
    path = tmp_path / "own.key"
    made = key_of(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key_of(str(path)) == made == read_key(path) and made.id != PUBLIC.id
    assert made.secret.hex() not in repr(made) and made.secret.hex() not in str(made)
    with pytest.raises(ValueError, match="cannot be made: File exists"):
        new_key(path)


@pytest.mark.parametrize("held", [b"", b"abc", b"zz" * 32, b"00" * 31, bytes(range(200, 255))])
def test_a_file_that_is_no_key_is_said_without_what_it_holds(tmp_path, held):
    path = tmp_path / "bad.key"
    path.write_bytes(held)
    with pytest.raises(ValueError, match="is no key of a mark: it should hold 64 hexadecimal digits") as said:
        key_of(path)
    assert not held or held.decode("latin-1") not in str(said.value)


def test_what_is_asked_for(tmp_path, monkeypatch):
    for usual in (None, "", "1"):
        monkeypatch.delenv("CLAVILUX_MARK") if usual is None else monkeypatch.setenv("CLAVILUX_MARK", usual)
        assert key_of(None) is key_of(True) is PUBLIC and key_of(False) is None and key_of(PUBLIC) is PUBLIC
    monkeypatch.setenv("CLAVILUX_MARK", "0")
    assert key_of(None) is None and key_of(True) is PUBLIC
    monkeypatch.setenv("CLAVILUX_MARK", "off")
    with pytest.raises(ValueError, match="CLAVILUX_MARK is 'off'; it should be 1, or 0 for no mark"):
        key_of(None)
    assert key_of(False) is None  # who says it is not asked again
    with pytest.raises(TypeError, match="mark is a int; it should be"):
        key_of(3)
    with pytest.raises(ValueError, match="cannot be made"):
        key_of(tmp_path / "no" / "own.key")


def test_what_is_kept_of_a_choice():
    assert said(PUBLIC) == {"mark": PUBLIC.id} and said(None) == said(None, drawn=False) == {"mark": NONE}
    assert said(PUBLIC, drawn=False) == {}
    receipts = [in_receipt(settings) for settings in (said(PUBLIC), said(None), {})]
    assert receipts == [{"mark": {"key": PUBLIC.id}}, {"mark": "none"}, {}]


def test_the_key_is_in_nothing_that_is_written_or_printed(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("CLAVILUX_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CLAVILUX_CREDENTIALS", "1")
    key = new_key(tmp_path / "own.key")
    out = tmp_path / "out"
    out.mkdir()
    caplog.set_level("DEBUG")
    asked = ("--seed", 1, "--mark-key", tmp_path / "own.key")
    said = [call("paint", "red apple", *asked, "-o", out / "a.png")]
    said += [call("render", "slow piano waltz", "--seconds", 2, *asked, "-o", out / "a.wav", "--midi", out / "a.mid")]
    said += [call("verify", out, "--json", "--mark-key", tmp_path / "own.key")]
    said += [call("verify", tmp_path / "none.mid", "--mark-key", tmp_path / "own.key", code=2)]
    said += [call("paint", "red apple", "--no-mark", *asked, "-o", out / "b.png", code=2)]
    texts = [caplog.text, *(each.output + each.stderr + repr(each.exception) for each in said)]
    kept = [path.read_bytes() for path in out.iterdir()] + [text.encode() for text in texts]
    words = [key.word(kind) for kind in ("score", "picture", "played")]
    secrets = [key.secret, key.secret.hex().encode(), *(str(word).encode() for word in words)]
    secrets += [word.to_bytes(8, order, signed=True) for word in words for order in ("little", "big")]
    assert len(kept) == 3 + len(texts) and any(key.id.encode() in each for each in kept)
    assert not any(secret in each for each in kept for secret in secrets)
    mark = Mark(words[0], MarkedTokens("score", torch.arange(4)))
    assert str(words[0]) not in repr(mark) + repr(SamplingSpec(mark=mark))
