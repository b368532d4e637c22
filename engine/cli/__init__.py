"""The `clavilux` command: a file for each group of commands; torch is imported only inside a command."""


def main() -> None:
    """Run the command. Imported here, so that the room's other files can be used without the whole command."""
    from clavilux.cli import app

    app.main()
