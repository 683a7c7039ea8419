"""Entry point of the `metaser` command and of `python -m metaser.cli`."""

import signal


def main() -> None:
    """Load the command line and run it; before and after that, Ctrl-C ends the process at once and silently."""
    usual = signal.getsignal(signal.SIGINT)
    outside = signal.SIG_DFL if usual is signal.default_int_handler else usual  # ignored under nohup
    signal.signal(signal.SIGINT, outside)
    from metaser.cli.main import command
    from metaser.cli.main import main as run

    command()
    signal.signal(signal.SIGINT, usual)
    try:
        run()
    finally:
        signal.signal(signal.SIGINT, outside)


if __name__ == "__main__":
    main()
