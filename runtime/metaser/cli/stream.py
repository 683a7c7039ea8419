"""`metaser stream`: live labels for a microphone, a pipe or a recording of any length."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.console import PlainConsole, new_table, people, plain, quiet_libraries, settle_stdout
from metaser.cli.formats import Format
from metaser.cli.opening import open_engine
from metaser.cli.options import (
    AcceptPrecisionOption,
    BundleOption,
    JsonOption,
    ProfileOption,
    Provider,
    ProviderOption,
    ThreadsOption,
    Unknown,
    UnknownOption,
    profile_path,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from metaser.cli.recording import View
    from metaser.runtime.ring import Chunk

STANDARD_INPUT = "-"


def stream(  # noqa: PLR0913 # one parameter an option
    *,
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE|-]", help="A recording of any length, or - for standard input.")
    ] = None,
    mic: Annotated[bool, typer.Option("--mic", help="Listen to a microphone.")] = False,
    device: Annotated[
        str | None, typer.Option("--device", metavar="NAME|NUMBER", help="Which microphone. Without it, the default.")
    ] = None,
    list_devices: Annotated[bool, typer.Option("--list-devices", help="Show the microphones and stop.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="With -: never wait for the model; what it cannot keep up with is lost.")
    ] = False,
    rate_hz: Annotated[int, typer.Option("--rate", metavar="HZ", help="With -: the rate of raw samples.")] = 16_000,
    channels: Annotated[int, typer.Option("--channels", metavar="N", help="With -: the channels of raw samples.")] = 1,
    sample_format: Annotated[
        str,
        typer.Option("--sample-format", metavar="NAME", help="With -: raw samples are s16le, s24le, s32le or f32le."),
    ] = "s16le",
    realtime: Annotated[bool, typer.Option("--realtime", help="Go as fast as time does, not faster.")] = False,
    window_s: Annotated[
        float, typer.Option("--window", metavar="SECONDS", help="The longest stretch of speech a label looks back on.")
    ] = 3.0,
    hop_s: Annotated[float, typer.Option("--hop", metavar="SECONDS", help="Time between two looks.")] = 0.5,
    dwell_s: Annotated[
        float, typer.Option("--dwell", metavar="SECONDS", help="How long another label must hold to be believed.")
    ] = 1.5,
    record: Annotated[
        Path | None, typer.Option("--record", metavar="DIR", help="Keep the audio and its labels in this folder.")
    ] = None,
    unknown: UnknownOption = Unknown.calibrated,
    profile: ProfileOption = None,
    accept_precision: AcceptPrecisionOption = False,
    bundle: BundleOption = None,
    provider: ProviderOption = Provider.auto,
    threads: ThreadsOption = None,
    form: Annotated[
        Format | None, typer.Option("--format", metavar="FORMAT", help="Print json, csv, srt or audacity.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Label speech as it comes: a microphone, standard input (raw samples or WAV) or a recording.

    Speech is found, labelled after its first second, and the label follows the speaker. On a terminal you see it move;
    elsewhere each finished segment is one line. Ctrl-C ends it with the summary.
    """
    from metaser.cli.keeping import Keeper
    from metaser.cli.live import print_summary
    from metaser.cli.recording import duration_of, play
    from metaser.runtime import InputError, StreamSettings
    from metaser.runtime.piped import RawFormat

    if list_devices:
        _list_devices(people(as_json))
        return
    mic = mic or (device is not None and file is None)
    if mic == (file is not None):
        raise InputError("give one source: --mic, a FILE, or - for standard input")
    if live and file != STANDARD_INPUT:
        raise InputError("--live is for standard input: `metaser stream - --live`")
    form = Format.json if as_json else form
    settings = StreamSettings(
        window_s, hop_s, min_window_s=min(StreamSettings.min_window_s, window_s), dwell_s=dwell_s,
        widest_hop_s=max(StreamSettings.widest_hop_s, hop_s),
    )  # fmt: skip
    raw = RawFormat(rate_hz, channels, sample_format)
    engine = open_engine(bundle, provider, threads)
    enrolled = engine.open_profile(profile_path(profile), accept_precision=accept_precision).answering(unknown.value)
    console = people(form is not None)
    notice = f"recording into {record}" if record else ""
    total_s = duration_of(Path(file)) if file and file != STANDARD_INPUT else 0.0
    name = "the microphone" if mic else "standard input" if file == STANDARD_INPUT else Path(file or "").name
    with _open_source(file, device, raw, console, live=live) as source:
        if record and not console.is_terminal:
            console.say(f"Recording what is heard into {record}.")
        with _open_view(form, engine.provider, console, enrolled.labels, total_s, notice) as view:
            keeper = Keeper(record, view) if record else None
            try:
                heard = play(
                    keeper.chunks(source) if keeper else source, name,
                    lambda rate: engine.stream(
                        enrolled, sample_rate_hz=rate, settings=settings, live=mic or live
                    ),
                    keeper or view, realtime=realtime,
                )  # fmt: skip
            finally:
                if keeper:
                    keeper.close()
    if heard.pipe_closed:
        settle_stdout()
        if form is None:
            return
    print_summary(console, heard, enrolled.labels)
    if heard.error:
        raise heard.error


@contextmanager
def _open_source(
    file: str | None, device: str | None, raw: object, console: PlainConsole, *, live: bool
) -> Iterator[Iterable[Chunk]]:
    from metaser.cli.recording import file_chunks
    from metaser.runtime.microphone import RING_S, Microphone
    from metaser.runtime.piped import LivePipe, PipedAudio, RawFormat

    assert isinstance(raw, RawFormat)
    if file is None:
        with quiet_libraries(), Microphone(device) as microphone:
            console.say(f"Listening to {microphone.name} at {microphone.rate_hz} Hz.")
            yield _listen(microphone, console)
    elif file == STANDARD_INPUT:
        piped = PipedAudio(sys.stdin.fileno(), raw)
        yield LivePipe(piped, RING_S) if live else piped
        if piped.odd_bytes:
            console.say(f"Standard input ended within a sample: its last {piped.odd_bytes} bytes were left out.")
    else:
        yield file_chunks(Path(file))


def _listen(microphone: object, console: PlainConsole) -> Iterator[Chunk]:
    """What the microphone hears, for ever; it is said when it is gone and when it is back."""
    from metaser.runtime.microphone import Microphone

    assert isinstance(microphone, Microphone)
    gone = False
    while True:
        yield microphone.read()
        if microphone.is_gone != gone:
            gone = microphone.is_gone
            state = "is gone: waiting for it" if gone else "is back"
            console.say(f"The microphone {microphone.name} {state}.")


def _open_view(  # noqa: PLR0913, PLR0917 # what a view needs
    form: Format | None, provider: str, console: PlainConsole, labels: tuple[str, ...], total_s: float, notice: str
) -> AbstractContextManager[View]:
    from metaser.cli.formats import SegmentFormat
    from metaser.cli.live import JsonLines, open_view

    if form is None:
        return open_view(console, labels, total_s, notice)
    return nullcontext(JsonLines(provider) if form is Format.json else SegmentFormat(form))


def _list_devices(console: PlainConsole) -> None:
    from metaser.runtime.microphone import find_device
    from metaser.runtime.microphone import list_devices as devices

    find_device(None)  # says so where there is none
    table = new_table("number", "name", "channels", "rate", "default")
    for device in devices():
        table.add_row(
            str(device.index), plain(device.name), str(device.channels), f"{device.rate_hz} Hz",
            "yes" if device.is_default else "",
        )  # fmt: skip
    console.print(table)
