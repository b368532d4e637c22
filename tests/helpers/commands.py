"""Commands of the command line, run inside the tests' own process."""

from typer.testing import CliRunner

from clavilux.cli.app import app


def call(*arguments, code=0):
    """Run a command; its result, after looking at its exit code."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="clavilux")
    assert result.exit_code == code, result.output + result.stderr
    return result


def refuse(*arguments) -> str:
    """Run a command that must fail; its one line, without a traceback and with nothing on stdout."""
    result = call(*arguments, code=2)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("clavilux: "), result.stderr
    return lines[0].removeprefix("clavilux: ")
