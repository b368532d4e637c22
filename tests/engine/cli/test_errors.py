"""What is said when something goes wrong: one sentence, whose fault it is, and what a terminal can show."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from commands import call, refuse

from clavilux.cli import display, errors, info_models
from clavilux.cli import info as describe

RUN = [sys.executable, "-c", "from clavilux.__main__ import main; main()"]


def caught(function):
    with pytest.raises(BaseException) as found:
        function()
    return errors.explain_error(found.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["render", "--seconds", "abc"], "--seconds is 'abc'; it should be a number"),
        (["render", "--top-k=1.5"], "--top-k is '1.5'; it should be a whole number"),
        (["render", "--batch", "0"], "--batch is '0'; it should be "),
        (["render", "--temo", "9"], "there is no option --temo; did you mean --tempo"),
        (["info"], "the path is missing; see `clavilux info --help`"),
        (["rendr"], "no such command 'rendr'"),
        (["render", "a", "b"], "got unexpected extra argument"),
    ],
)
def test_usage_errors_are_said_as_all_others_are(monkeypatch, arguments, said):
    monkeypatch.setattr(sys, "argv", ["clavilux", *arguments])
    assert refuse(*arguments).startswith(said)


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("anything=True makes a piece", "--anything makes a piece"),
        (
            "continue_from is missing: vary needs a piece, as a file of notes or an Audio",
            "--continue-from is missing: --vary needs a piece, as a file of notes",
        ),
        ("tempo is 900; it should be less", "--tempo is 900; it should be less"),
        ("window_s is 0, and prime_s is 1", "--window is 0, and --prime-seconds is 1"),
        ("a form's top_p, 'top_k', \"vary\"", "a form's --top-p, 'top_k', \"vary\""),
        ("the tempo is 90", "the tempo is 90"),
    ],
)
def test_arguments_are_called_by_their_options(raised, said):
    assert errors.in_options(raised) == said


def test_options_alone_are_said(tmp_path):
    assert refuse("render", "xyz").endswith("; --anything makes a piece all the same")
    assert "--continue-from is missing: --vary needs a piece, as a file of notes" in refuse(
        "render", "", "--vary", "0.3", "-o", tmp_path / "a.mid"
    )


def test_memory_that_is_used_up():
    def on_a_gpu():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 79.11 GiB in all")

    said, code = caught(on_a_gpu)
    assert "the memory of the GPU is used up: 2.00 GiB more were needed; try a smaller --batch" in said and code == 2
    for function in (lambda: torch.empty(1 << 52), lambda: np.zeros(1 << 55)):
        said, code = caught(function)
        assert "the memory of this machine is used up" in said and code == 2


def test_a_fault_of_ours_is_called_one(monkeypatch, tmp_path):
    """A TypeError of Python's own is no sentence for a user; one that this package raises is."""

    def broken(*_, **__):
        return None + 1

    (tmp_path / "a.mid").write_bytes(b"MThd")
    monkeypatch.setattr(describe, "describe", broken)
    result = call("info", tmp_path / "a.mid", code=1)
    assert result.stderr.startswith(
        "clavilux: this is a fault in Clavilux, not in what you gave, at clavilux.cli.app line "
    )
    assert "--debug" in result.stderr and "NoneType" in result.stderr and "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" in call("info", "--debug", tmp_path / "a.mid", code=1).stderr
    assert caught(lambda: json.loads("{"))[1] == caught(lambda: b"\xff".decode())[1] == 1
    assert caught(lambda: info_models.token_facts(tmp_path / "no.safetensors"))[1] == 2
    assert caught((tmp_path / "no").read_bytes) == (f"'{tmp_path / 'no'}': No such file or directory", 2)


def test_the_traceback_is_there_for_those_who_ask(tmp_path):
    for arguments in (["--debug", "info", tmp_path / "no.wav"], ["info", tmp_path / "no.wav", "--debug"]):
        lines = call(*arguments, code=2).stderr.splitlines()
        assert lines[0].startswith("Traceback") and lines[-1].startswith("clavilux: there is no file")


def test_what_files_say_cannot_steer_the_terminal(capsys):
    wild = "\x1b[2Jcleared\x9b31m \u202eturned\nsecond"
    facts = {"kind": "x", "receipt": {wild: wild, "long": "y" * 10_000_000} | {f"n{i}": i for i in range(500)}}
    display.show_facts(facts)
    said = capsys.readouterr().out
    assert not set(said) & set("\x1b\x9b\u202e") and r"\x1b[2Jcleared\x9b31m \u202eturned\nsecond" in said
    assert len(said) < 10_000 and "(10,000,000 characters)" in said and "values: 502, of which 100 are shown" in said
    display.print_json({wild: wild})
    printed = capsys.readouterr().out
    assert not set(printed) & set("\x1b\x9b\u202e") and json.loads(printed) == {wild: wild}


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_names_that_a_terminal_cannot_show(tmp_path, encoding):
    """The file's name is not UTF-8, the prompt is in letters that the terminal lacks."""
    if os.name == "nt" or sys.platform == "darwin":
        pytest.skip("names are text there")
    name = os.fsdecode(b"\xe4-") + "\u8d64.png"
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "1"}
    command = [*RUN, "paint", "\u8d64 red apple", "--seed", "1", "-o", name]
    for options in ([], ["--json"]):
        done = subprocess.run([*command, *options], cwd=tmp_path, env=environment, capture_output=True)
        assert done.returncode == 0 and done.stderr == b"", done.stderr
        said = done.stdout.decode(encoding)
    assert json.loads(said)["pictures"][0]["files"]["picture"] == name
    assert [path.name for path in tmp_path.iterdir()] == [name]
    done = subprocess.run([*RUN, "info", name], cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 0 and b"red apple" in done.stdout


def test_ctrl_c_while_modules_load():
    """The signal is there when the first of our lines runs; what Python does before it is not ours."""
    program = (
        "import os, signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from clavilux import __main__\nimport sys, importlib.abc\n"
        "class Loader(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'clavilux.cli.app':\n            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Loader())\nsys.argv = ['clavilux', 'models']\n__main__.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "clavilux: stopped, nothing written\n")
