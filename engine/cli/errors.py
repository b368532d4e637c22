"""What the command says when something goes wrong: one sentence on stderr and an exit code, whatever it was.

Exit codes: 2 for what the user gave (arguments, files, a full disk, too little memory), 1 for a fault in Clavilux, 130
for Ctrl-C. Knows exceptions. torch is not imported: its errors are known by name.
"""

from __future__ import annotations

import opcode
import re
import sys
import traceback
from difflib import get_close_matches
from types import TracebackType
from typing import Any

import typer

from clavilux.cli.help import OPTIONS
from clavilux.errors import CheckpointError

USER, FAULT, STOPPED = 2, 1, 130
LONGEST = 2000  # characters of a sentence; a name that was given can be of any length
_RAISE = opcode.opmap["RAISE_VARARGS"]
_SIZE = re.compile(r"(?:allocate|allocated:) ([\d.]+ ?(?:[KMGT]i?B|bytes))")
# Arguments that are spelled as no word of a sentence is, and those whose option has another name.
_OPTION_OF = {
    "window_s": "window", "stride_s": "stride", "song_s": "song_seconds", "prime_s": "prime_seconds",
    "instruments": "instrument", "class_id": "class",
}  # fmt: skip
_PLAIN, _JOINED = ("|".join(n for n in (*_OPTION_OF, *OPTIONS) if ("_" in n) == joined) for joined in (False, True))
_ARGUMENT = re.compile(rf"^(?:{_PLAIN})(?= is\b)|\b(?:{_JOINED}|vary)\b")
_AUDIO = re.compile(r",? or an Audio\b")  # which no option takes
_SWITCHED_ON = re.compile(r"\b([a-z_]+)=True\b")
_QUOTED = re.compile(r"""((?<!\w)'[^']*'|"[^"]*")""")
_LESS = "try a smaller --batch, a shorter or smaller piece, or --dtype int8"
# The command's own base class of usage errors; typer's place for it differs by version.
UsageProblem: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")


def explain_error(error: BaseException) -> tuple[str, int]:
    """(one sentence, exit code) for anything that a command raised."""
    if isinstance(error, UsageProblem):
        return _one_line(usage(error, sys.argv[1:])), USER
    if (memory := _memory(error)) is not None:
        return memory, USER
    if isinstance(error, CheckpointError):
        return _one_line(str(error)), USER
    if isinstance(error, (ValueError, TypeError)) and _raised_here(error):
        return _one_line(in_options(str(error))), USER
    if isinstance(error, OSError) and (error.strerror or _raised_here(error)):
        where = f"{str(error.filename)!r}: " if error.filename is not None else ""
        return _one_line(f"{where}{error.strerror or error}"), USER
    fault = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    where = _place(error.__traceback__)
    return _one_line(
        f"this is a fault in Clavilux, not in what you gave{where}; run it again with --debug for the traceback "
        f"({fault[:200]})"
    ), FAULT


def show(error: BaseException, debug: bool) -> int:
    """Print what `explain_error` says, after the traceback if that was asked for; the exit code."""
    if isinstance(error, UsageProblem) and type(error).__name__ == "NoArgsIsHelpError":  # the list of commands
        error.show()
        return USER
    if debug:
        traceback.print_exception(error)
    sentence, code = explain_error(error)
    typer.echo(f"clavilux: {sentence}", err=True)
    return code


def printable(text: str, longest: int = LONGEST) -> str:
    """Text from a file, safe for a terminal: control characters (escape sequences, changes of direction) are written
    as escapes, and what is longer than `longest` characters is cut, with its length.
    """
    cut = text[:longest]
    shown = "".join(c if c.isprintable() or c == " " else c.encode("unicode_escape").decode("ascii") for c in cut)
    return shown if len(text) <= longest else f"{shown} ... ({len(text):,} characters)"


def in_options(sentence: str) -> str:
    """A sentence about the arguments of a call from Python as one about the command's options, which alone are meant
    there: "continue_from" is --continue-from, "anything=True" is --anything, and "tempo is 900" begins with --tempo.
    What is quoted was given, and stays.
    """
    pieces = _QUOTED.split(sentence)
    for place in range(0, len(pieces), 2):
        text = _SWITCHED_ON.sub(lambda found: _option(found[1]), pieces[place])
        pieces[place] = _AUDIO.sub("", _ARGUMENT.sub(lambda found: _option(found[0]), text))
    return "".join(pieces)


def _option(argument: str) -> str:
    return "--" + _OPTION_OF.get(argument, argument).replace("_", "-")


def usage(error: Any, arguments: list[str]) -> str:
    """A usage error in our words: the option, its value, and what would be right."""
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    see = f"see `{context.command_path if context is not None else 'clavilux'} --help`"
    if type(error).__name__ == "NoSuchOption":
        likely = " or ".join(get_close_matches(error.option_name, error.possibilities or ()))  # the likeliest first
        return f"there is no option {error.option_name}; " + (f"did you mean {likely}?" if likely else see)
    if parameter is None:
        message = error.format_message().rstrip(".?")
        return f"{message[:1].lower()}{message[1:]}; {see}"
    name = max(parameter.opts, key=len) if parameter.opts[0].startswith("-") else f"the {parameter.name}"
    if type(error).__name__ == "MissingParameter":
        return f"{name} is missing; {see}"
    wanted = error.message.removeprefix("Input should be ").rstrip(".")
    for word, meaning in (("integer", "a whole number"), ("number", "a number"), ("float", "a number")):
        if word in wanted:
            wanted = meaning
            break
    value = _value(parameter.opts, arguments)
    return f"{name} should be {wanted}" if value is None else f"{name} is {value!r}; it should be {wanted}"


def _value(names: list[str], arguments: list[str]) -> str | None:
    """What an option was given on the command line."""
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in names:
            return value if equals else next(iter(arguments[place + 1 : place + 2]), None)
    return None


def _memory(error: BaseException) -> str | None:
    """What to say of an error that says that memory is used up; None for others."""
    text = str(error)
    on_device = type(error).__name__ == "OutOfMemoryError"
    on_host = isinstance(error, MemoryError) or "not enough memory" in text or "can't allocate memory" in text
    if not on_device and not on_host:
        return None
    found = _SIZE.search(text)
    more = f": {found[1]} more were needed" if found else ""
    return f"the memory of {'the GPU' if on_device else 'this machine'} is used up{more}; {_LESS}"


def _raised_here(error: BaseException) -> bool:
    """Whether a `raise` of ours made this error, so that its words are ours; Python and libraries raise the same types
    for faults of this program.
    """
    trace = _last(error.__traceback__)
    if trace is None:
        return False
    code = trace.tb_frame.f_code.co_code
    ours = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0] == "clavilux"
    return ours and code[trace.tb_lasti] == _RAISE


def _last(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def _place(trace: TracebackType | None) -> str:
    """Where in our own code it happened."""
    where = ""
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] == "clavilux":
            where = f", at {module} line {trace.tb_lineno}"
        trace = trace.tb_next
    return where


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))
