"""Where the `clavilux` command begins, so that Ctrl-C is one line also while modules are still loading."""

import _signal  # `signal` itself takes 10 ms to import

from clavilux.cli.interrupt import stop


def main() -> None:
    """The console script."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:  # where it is ignored, that stays so
        _signal.signal(_signal.SIGINT, stop)
    from clavilux.cli import app as cli

    cli.main()


if __name__ == "__main__":
    main()
