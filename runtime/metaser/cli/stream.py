"""`metaser stream`: live labels for a microphone, a pipe or a recording of any length."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.console import plain, print_json, quiet_libraries, settle_stdout
from metaser.cli.formats import Format
from metaser.cli.input_pipe import STANDARD_INPUT, is_pipe, open_pipe
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
from metaser.cli.terminal import PlainConsole, new_table, people

if TYPE_CHECKING:
    from collections.abc import Iterable

    from metaser.cli.recording import View
    from metaser.runtime.microphone import Microphone
    from metaser.runtime.pcm import RawFormat
    from metaser.runtime.piped import PipedAudio
    from metaser.runtime.ring import Chunk


def stream(  # noqa: PLR0913 # one parameter an option
    *,
    file: Annotated[
        str | None,
        typer.Argument(metavar="[FILE|-]", help="A recording, a pipe, or - for standard input."),
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
        typer.Option("--sample-format", metavar="NAME", help="With -: raw samples are s16le, f32le, mulaw ..."),
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
    """Label speech as it comes: a microphone, standard input or a recording.

    Standard input is WAV, another format that a file can have, or raw samples; a format is recognised by its content.

    Speech is found, labelled after its first second, and the label follows the speaker. On a terminal you see it move;
    elsewhere each finished segment is one line. Ctrl-C ends it with the summary.
    """
    from metaser.cli.keeping import Keeper
    from metaser.cli.live import print_summary
    from metaser.cli.recording import play
    from metaser.runtime import InputError, StreamSettings
    from metaser.runtime.audio_file import AudioFile
    from metaser.runtime.pcm import RawFormat

    if list_devices:
        _list_devices(people(as_json))
        return
    mic = mic or (device is not None and file is None)
    if mic == (file is not None):
        raise InputError("give one source: --mic, a FILE, or - for standard input")
    is_piped = file is not None and is_pipe(file)
    if live and not is_piped:
        raise InputError("--live is for standard input: `metaser stream - --live`")
    form = _one_format(form, as_json=as_json)
    settings = StreamSettings(
        window_s, hop_s, min_window_s=min(StreamSettings.min_window_s, window_s), dwell_s=dwell_s,
        widest_hop_s=max(StreamSettings.widest_hop_s, hop_s),
    )  # fmt: skip
    raw = RawFormat(rate_hz, channels, sample_format)
    engine = open_engine(bundle, provider, threads)
    enrolled = engine.open_profile(profile_path(profile), accept_precision=accept_precision).answering(unknown.value)
    console = people(form is not None)
    notice = f"recording into {record}" if record else ""
    total_s = AudioFile(file).duration_s() if file and not is_piped else 0.0
    name = "the microphone" if file is None else "standard input" if file == STANDARD_INPUT else Path(file).name
    with _open_source(file, device, raw, console, live=live) as source:
        if record and not console.is_terminal:
            console.say(f"Recording what is heard into {record}.")
        with _open_view(form, engine.provider, console, enrolled.labels, total_s, notice) as view:
            keeper = Keeper(record, view) if record else None
            try:
                heard = play(
                    keeper.chunks(source.chunks) if keeper else source.chunks, name,
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
    for line in source.notices:
        console.say(f"{name}: {line}")
        if form is Format.json:
            print_json(event="notice", message=line)
    print_summary(console, heard, enrolled.labels)
    if source.pipe and source.pipe.is_raw and not heard.spans and not heard.pipe_closed:
        console.say(f"It was read as raw {sample_format}, {channels} channel(s) at {rate_hz} Hz: are these right?")
    if heard.error:
        raise heard.error


def _one_format(form: Format | None, *, as_json: bool) -> Format | None:
    from metaser.runtime import InputError

    if as_json and form not in (None, Format.json):
        raise InputError(f"give either --json or --format {form.value}")
    return Format.json if as_json else form


@dataclass(frozen=True)
class Source:
    """Where the sound comes from."""

    chunks: Iterable[Chunk]
    notices: list[str]
    """What is noticed on the way, complete at the end."""

    pipe: PipedAudio | None = None


@contextmanager
def _open_source(
    file: str | None, device: str | None, raw: RawFormat, console: PlainConsole, *, live: bool
) -> Iterator[Source]:
    from metaser.runtime.audio_file import AudioFile
    from metaser.runtime.microphone import RING_S, Microphone
    from metaser.runtime.piped import LivePipe, PipedAudio

    if file is None:
        with quiet_libraries(), Microphone(device) as microphone:
            console.say(f"Listening to {microphone.name} at {microphone.rate_hz} Hz.")
            yield Source(_listen(microphone, console), [])
    elif is_pipe(file):
        name = "standard input" if file == STANDARD_INPUT else file
        with open_pipe(file) as descriptor:
            piped = PipedAudio(descriptor, raw, name=name, live=live, say=console.say)
            yield Source(LivePipe(piped, RING_S) if live else piped, piped.notices, piped)
    else:
        recording = AudioFile(file)
        yield Source(recording.chunks(), recording.notices)


def _listen(microphone: Microphone, console: PlainConsole) -> Iterator[Chunk]:
    """What the microphone hears, without an end; reported when it is gone and when it is back."""
    gone, noticed = False, ""
    while True:
        yield microphone.read()
        if microphone.notice != noticed:
            noticed = microphone.notice
            console.say(f"The microphone {microphone.name}: {noticed}.")
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
