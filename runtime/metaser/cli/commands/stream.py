"""`metaser stream`: live labels for a microphone, a pipe or a recording of any length."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.open_engine import bundle_for, open_engine
from metaser.cli.open_profile import open_profile
from metaser.cli.options import (
    AcceptPrecisionOption,
    BundleOption,
    JsonOption,
    MqttOption,
    ProfileOption,
    Provider,
    ProviderOption,
    ThreadsOption,
    Unknown,
    UnknownOption,
    WebhookOption,
    chosen_format,
    profile_path,
)
from metaser.cli.streaming.formats import Format
from metaser.cli.streaming.input_pipe import STANDARD_INPUT, is_pipe, open_pipe
from metaser.cli.view.console import flush_or_drop_stdout, print_json, print_status, quiet_libraries
from metaser.cli.view.terminal import PlainConsole, console_for, new_table
from metaser.runtime.words import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from metaser.cli.streaming.label_commands import Commands
    from metaser.cli.streaming.playback import Heard, View
    from metaser.links.all_links import Links
    from metaser.runtime import Engine, Profile, Stream, StreamSettings
    from metaser.runtime.audio.formats.pcm import RawFormat
    from metaser.runtime.audio.microphone import Microphone
    from metaser.runtime.audio.pipe import PipedAudio
    from metaser.runtime.audio.ring import Chunk


FileArgument = Annotated[
    str | None,
    typer.Argument(metavar="[FILE|-]", help="An audio file, a pipe, or - for standard input."),
]
MicOption = Annotated[bool, typer.Option("--mic", help="Label live speech from a microphone.")]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", metavar="NAME|NUMBER", help="The microphone to use. Without it, the default one."),
]
ListDevicesOption = Annotated[bool, typer.Option("--list-devices", help="List the microphones and exit.")]
LiveOption = Annotated[
    bool, typer.Option("--live", help="With -: treat the input as live. Audio is dropped if the model cannot keep up.")
]
RateOption = Annotated[
    int | None, typer.Option("--rate", metavar="HZ", help="With -: sample rate of raw samples. Without it, 16000.")
]
ChannelsOption = Annotated[
    int | None,
    typer.Option("--channels", metavar="N", help="With -: number of channels of raw samples. Without it, 1."),
]
SampleFormatOption = Annotated[
    str | None,
    typer.Option(
        "--sample-format",
        metavar="NAME",
        help="With -: format of raw samples, such as f32le or mulaw. Without it, s16le.",
    ),
]
RealtimeOption = Annotated[bool, typer.Option("--realtime", help="Play a file at real-time speed.")]
WindowOption = Annotated[
    float, typer.Option("--window", metavar="SECONDS", help="Longest stretch of speech that a label is based on.")
]
HopOption = Annotated[float, typer.Option("--hop", metavar="SECONDS", help="Time between two windows.")]
DwellOption = Annotated[
    float,
    typer.Option(
        "--dwell", metavar="SECONDS", help="How long a new label must hold before it replaces the current one."
    ),
]
RecordOption = Annotated[
    Path | None, typer.Option("--record", metavar="DIR", help="Save the audio and its labels in this folder.")
]
OnLabelOption = Annotated[
    list[str] | None,
    typer.Option(
        "--on-label",
        metavar="LABEL=COMMAND",
        help="Run a command when this label appears; LABEL can also be unknown or silence. Can be repeated.",
    ),
]
FormOption = Annotated[
    Format | None,
    typer.Option(
        "--format", metavar="FORMAT", help="Print segments as json, csv, srt (subtitles) or audacity (label track)."
    ),
]


def stream(  # noqa: PLR0913 # one parameter per option
    *,
    file: FileArgument = None,
    mic: MicOption = False,
    device: DeviceOption = None,
    list_devices: ListDevicesOption = False,
    live: LiveOption = False,
    rate_hz: RateOption = None,
    channels: ChannelsOption = None,
    sample_format: SampleFormatOption = None,
    realtime: RealtimeOption = False,
    window_s: WindowOption = 3.0,
    hop_s: HopOption = 0.5,
    dwell_s: DwellOption = 1.5,
    record: RecordOption = None,
    on_label: OnLabelOption = None,
    mqtt: MqttOption = None,
    webhook: WebhookOption = None,
    unknown: UnknownOption = Unknown.calibrated,
    profile: ProfileOption = None,
    accept_precision: AcceptPrecisionOption = False,
    bundle: BundleOption = None,
    provider: ProviderOption = Provider.auto,
    threads: ThreadsOption = None,
    form: FormOption = None,
    as_json: JsonOption = False,
) -> None:
    """Label live speech or a long recording: microphone, standard input or file.

    metaser labels speech after its first second and updates the label while the person speaks: live on a terminal,
    elsewhere as one line per finished segment. Ctrl-C ends the stream and prints a summary.
    """
    from metaser.cli.streaming.label_commands import read_commands
    from metaser.links.all_links import Links

    if list_devices:
        _list_devices(console_for(as_json))
        return
    mic = mic or (device is not None and file is None)
    is_piped = file is not None and is_pipe(file)
    raw = _RawOptions(rate_hz, channels, sample_format)
    _check_source(file, device, raw, mic=mic, live=live, is_piped=is_piped, realtime=realtime)
    form = chosen_format(form, Format.json, as_json=as_json)
    settings = _settings(window_s, hop_s, dwell_s)
    form_of_raw = raw.form()
    path = profile_path(profile)
    engine = open_engine(bundle_for(bundle, path), provider, threads)
    enrolled = open_profile(engine, path, unknown, accept_precision=accept_precision)
    console = console_for(form is not None)
    commands = read_commands(on_label or (), enrolled.labels, may_be_unknown=unknown is not Unknown.off)
    name = "the microphone" if file is None else "standard input" if file == STANDARD_INPUT else Path(file).name
    new_stream = partial(_new_stream, engine, enrolled, settings, live=mic or live)
    links = Links.open(mqtt, webhook, print_status)
    with _open_source(file, device, raw, console, live=live) as source, closing(links):
        if record and not console.is_terminal:
            console.print_line(f"Recording audio and labels into {record}.")
        shown = _Shown(form, enrolled.labels, source.total_s, record, links)
        with _open_view(shown, engine.provider, console, name, live=mic or live) as view:
            heard = _play(source, name, new_stream, view, record, commands, realtime=realtime)
    _print_end(source, name, heard, form_of_raw, form, console, enrolled.labels)


@dataclass(frozen=True)
class _RawOptions:
    """The options for raw samples, as given."""

    rate_hz: int | None
    channels: int | None
    sample_format: str | None

    @property
    def names(self) -> str:
        """The options that were given."""
        given = {"--rate": self.rate_hz, "--channels": self.channels, "--sample-format": self.sample_format}
        return " and ".join(name for name, value in given.items() if value is not None)

    def form(self) -> RawFormat:
        """The format, with defaults for what was not given.

        Raises:
            InputError: a value is out of its range.
        """
        from metaser.runtime.audio.formats.pcm import RawFormat

        return RawFormat(**{name: value for name, value in vars(self).items() if value is not None})


def _check_source(  # noqa: PLR0913 # all options that concern the source
    file: str | None,
    device: str | None,
    raw: _RawOptions,
    *,
    mic: bool,
    live: bool,
    is_piped: bool,
    realtime: bool,
) -> None:
    """Raise InputError for no source or two, and for an option that this source would ignore."""
    from metaser.runtime import InputError

    if file == "":
        raise InputError("FILE is empty: give a path; is a variable of the shell not set?")
    if file is not None and Path(file).is_dir():
        raise InputError(f"{file} is a folder: give one FILE, or label the files in it with `metaser classify`")
    if mic == (file is not None):
        raise InputError("give one source: --mic, a FILE, or - for standard input")
    if live and not is_piped:
        raise InputError("--live is for standard input: `metaser stream - --live`")
    if device is not None and not mic:
        raise InputError("--device is for a microphone: give it without a FILE")
    if realtime and mic:
        raise InputError("--realtime is for a FILE: a microphone is live anyway")
    if raw.names and not is_piped:
        raise InputError(f"{raw.names}: only for raw samples on standard input; a file states its own format")


def _settings(window_s: float, hop_s: float, dwell_s: float) -> StreamSettings:
    from metaser.runtime import StreamSettings

    return StreamSettings.fitting(window_s, hop_s, dwell_s)


def _new_stream(
    engine: Engine, profile: Profile, settings: StreamSettings, sample_rate_hz: int, *, live: bool
) -> Stream:
    return engine.stream(profile, sample_rate_hz=sample_rate_hz, settings=settings, live=live)


def _play(  # noqa: PLR0913, PLR0917 # the source, the stream and its views
    source: Source,
    name: str,
    new_stream: Callable[[int], Stream],
    view: View,
    record: Path | None,
    commands: Commands,
    *,
    realtime: bool,
) -> Heard:
    """Play the source to its end; record it if a folder is given, and run the commands of labels."""
    from metaser.cli.streaming.label_commands import LabelCommands
    from metaser.cli.streaming.playback import play
    from metaser.cli.streaming.recorder import StreamRecorder
    from metaser.runtime.stream.recording import Recording

    with ExitStack() as stack:
        chunks = source.chunks
        if commands:
            view = stack.enter_context(closing(LabelCommands(commands, view)))
        if record is not None:
            view = recorder = stack.enter_context(closing(StreamRecorder(Recording(record), view)))
            chunks = recorder.chunks(chunks)
        return play(chunks, name, new_stream, view, realtime=realtime)


def _print_end(  # noqa: PLR0913, PLR0917 # what was played, and how it is printed
    source: Source,
    name: str,
    heard: Heard,
    raw: RawFormat,
    form: Format | None,
    console: PlainConsole,
    labels: tuple[str, ...],
) -> None:
    """Print the notices and the summary, unless the output pipe is closed; raise the error that ended the stream."""
    from metaser.cli.streaming.live import print_summary
    from metaser.runtime.words import counted

    if heard.pipe_closed:
        flush_or_drop_stdout()
        if form is None:
            return
    for line in (*source.notices, *heard.notices):
        console.print_line(f"{name}: {line}")
        if form is Format.json:
            print_json(event="notice", message=line)
    print_summary(console, heard, labels)
    if source.pipe and source.pipe.is_raw and not heard.pipe_closed:
        console.print_line(
            f"It was read as raw {raw.sample_format}, {counted(raw.channels, 'channel')} at {raw.rate_hz} Hz: "
            "check --sample-format, --channels and --rate"
        )
    if heard.error:
        raise heard.error


@dataclass(frozen=True)
class Source:
    """An open audio source."""

    chunks: Iterable[Chunk]
    notices: list[str]
    """Notices about the audio; the list is complete at the end of the stream."""

    pipe: PipedAudio | None = None
    total_s: float = 0.0
    """Its length; 0 if it is not known."""


@contextmanager
def _open_source(
    file: str | None, device: str | None, raw: _RawOptions, console: PlainConsole, *, live: bool
) -> Iterator[Source]:
    from metaser.runtime.audio.file import AudioFile
    from metaser.runtime.audio.microphone import RING_S, Microphone
    from metaser.runtime.audio.pipe import LivePipe, PipedAudio

    if file is None:
        with quiet_libraries(), Microphone(device) as microphone:
            console.print_line(f"Listening to {microphone.name} at {microphone.rate_hz} Hz.")
            yield Source(_listen(microphone, console), [])
    elif is_pipe(file):
        name = "standard input" if file == STANDARD_INPUT else file
        with open_pipe(file) as descriptor:
            piped = PipedAudio(descriptor, raw.form(), name=name, live=live, notify=console.print_line)
            chunks = _name_unused(LivePipe(piped, RING_S) if live else piped, piped, raw.names, name, console)
            yield Source(chunks, piped.notices, piped)
    else:
        recording = AudioFile(file)
        yield Source(recording.chunks(), recording.notices, total_s=recording.duration_s())


def _name_unused(
    chunks: Iterable[Chunk], piped: PipedAudio, options: str, name: str, console: PlainConsole
) -> Iterator[Chunk]:
    """The chunks of a pipe; options for raw samples are named if the pipe states its own format."""
    for chunk in chunks:
        if options and len(chunk.samples):
            if not piped.is_raw:
                console.print_line(f"{name} states its own format: {options} not used.")
            options = ""
        yield chunk


def _listen(microphone: Microphone, console: PlainConsole) -> Iterator[Chunk]:
    """Yield the microphone's audio without end; print when the device disappears and when it is back."""
    gone, noticed = False, ""
    while True:
        yield microphone.read()
        if microphone.notice != noticed:
            noticed = microphone.notice
            console.print_line(f"The microphone {microphone.name}: {noticed}.")
        if microphone.is_gone != gone:
            gone = microphone.is_gone
            state = "is gone: waiting for it" if gone else "is back"
            console.print_line(f"The microphone {microphone.name} {state}.")


@dataclass(frozen=True)
class _Shown:
    """What a view shows."""

    form: Format | None
    labels: tuple[str, ...]
    total_s: float
    record: Path | None
    links: Links


@contextmanager
def _open_view(shown: _Shown, provider: str, console: PlainConsole, name: str, *, live: bool) -> Iterator[View]:
    """The view for people or programs, which also passes events to the links."""
    from metaser.cli.streaming.formats import SegmentFormat
    from metaser.cli.streaming.linked_view import LinkedView
    from metaser.cli.streaming.live import JsonLines, open_view

    view: AbstractContextManager[View]
    if shown.form is None:
        notice = f"recording into {shown.record}" if shown.record else ""
        view = open_view(console, shown.labels, shown.total_s, notice)
    elif shown.form is Format.json:
        view = nullcontext(JsonLines(provider, live=live))
    else:
        view = nullcontext(SegmentFormat(shown.form, live=live))
    with view as opened:
        yield LinkedView(shown.links, name.removeprefix("the "), shown.labels, opened)


def _list_devices(console: PlainConsole) -> None:
    from metaser.runtime.audio.microphone import find_device
    from metaser.runtime.audio.microphone import list_devices as devices

    find_device(None)  # raises if there is none
    table = new_table("number", "name", "channels", "rate", "default")
    for device in devices():
        table.add_row(
            str(device.index), plain(device.name), str(device.channels), f"{device.rate_hz} Hz",
            "yes" if device.is_default else "",
        )  # fmt: skip
    console.print(table)
