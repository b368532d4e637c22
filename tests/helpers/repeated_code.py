"""Where code stands twice: runs of equal lines, whatever their indentation, comments and docstrings."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass

SHORTEST = 6


@dataclass(frozen=True)
class Repeated:
    """Lines of code that stand elsewhere as well.

    Attributes:
        lines: how many, as `code_lines` counts.
        first, again: (file, number of its first line) of the earlier place and of this one.
    """

    lines: int
    first: tuple[str, int]
    again: tuple[str, int]

    def __str__(self) -> str:
        return f"{self.lines} lines: {self.first[0]}:{self.first[1]} = {self.again[0]}:{self.again[1]}"


def repeated(sources: Mapping[str, str], shortest: int = SHORTEST) -> list[Repeated]:
    """The blocks of at least `shortest` lines that stood before, in the order of files; each line is in one at most."""
    seen: dict[tuple[str, ...], tuple[str, int]] = {}
    lines = {name: code_lines(text) for name, text in sources.items()}
    found = []
    for name, here in lines.items():
        at = 0
        while at + shortest <= len(here):
            window = tuple(text for _, text in here[at : at + shortest])
            other, start = seen.setdefault(window, (name, at))
            if (other, start) == (name, at) or other == name and start + shortest > at:
                at += 1
                continue
            there, length = lines[other], shortest
            most = at - start if other == name else len(there)
            while length < most and at + length < len(here) and start + length < len(there) and (
                here[at + length][1] == there[start + length][1]
            ):  # fmt: skip
                length += 1
            found.append(Repeated(length, (other, there[start][0]), (name, here[at][0])))
            at += length
    return found


def code_lines(text: str) -> list[tuple[int, str]]:
    """(number, content) of the lines that hold code: no comments, docstrings, imports, or brackets alone."""
    left_out = set()
    for node in ast.walk(ast.parse(text)):
        alone = (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        )
        if alone or isinstance(node, (ast.Import, ast.ImportFrom)):
            left_out.update(range(node.lineno, node.end_lineno + 1))
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    kept = [(number, " ".join(line.split())) for number, line in enumerate(lines, 1) if number not in left_out]
    return [(number, line) for number, line in kept if any(letter.isalnum() for letter in line)]
