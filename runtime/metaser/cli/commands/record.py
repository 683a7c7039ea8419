"""`metaser record`: record support clips from the microphone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.view.console import can_ask, quiet_libraries
from metaser.cli.view.levels import level_dbfs, level_meter
from metaser.cli.view.terminal import PlainConsole, console_for

if TYPE_CHECKING:
    from metaser.runtime.arrays import Waveform
    from metaser.runtime.audio.microphone import Microphone

METER_CELLS = 30
REFUSALS = 5


LabelArgument = Annotated[
    str, typer.Argument(metavar="LABEL", help="The class of the clips; also the name of their folder.")
]
CountOption = Annotated[int, typer.Option("--count", metavar="N", help="Number of clips to record.", min=1)]
SecondsOption = Annotated[
    float, typer.Option("--seconds", metavar="SECONDS", help="Length of each clip.", min=1, max=60)
]
IntoOption = Annotated[Path, typer.Option("--into", metavar="SUPPORT", help="The support folder to write to.")]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", metavar="NAME|NUMBER", help="The microphone to use. Without it, the default one."),
]


def record(
    *,
    label: LabelArgument,
    count: CountOption = 5,
    seconds: SecondsOption = 3.0,
    into: IntoOption = Path("support"),
    device: DeviceOption = None,
) -> None:
    """Record clips of one class from the microphone into SUPPORT/LABEL/.

    Press Enter before each clip, then speak. A clip that is silent or too loud is refused and recorded again. Record
    each of your classes, then run `metaser enroll`.
    """
    import soundfile

    from metaser.runtime import AudioError, InputError, WorkError
    from metaser.runtime.arrays import SAMPLE_RATE_HZ
    from metaser.runtime.audio.microphone import Microphone
    from metaser.runtime.enrolment.labels import LONGEST_NAME_BYTES, check_label, is_folder_name, on_disk
    from metaser.runtime.system.files import replacing

    label = check_label(label)
    if not is_folder_name(label):
        raise InputError(
            f"{label!r} cannot be a folder name: give a label without / and control characters that does not begin "
            f"with a dot, of at most {LONGEST_NAME_BYTES} bytes"
        )
    console = console_for(as_json=False)
    folder = into / on_disk(label)
    taken = refused = 0
    with quiet_libraries(), Microphone(device) as microphone:
        console.print_line(f"{count} takes of {seconds:g} s for {label}, from {microphone.name}.")
        while taken < count:
            _prompt(console, f"Take {taken + 1} of {count}")
            try:
                clip = _take(microphone, seconds, console)
            except AudioError as error:
                refused += 1
                console.print_line(f"Refused: {error}")
                if refused == REFUSALS:
                    raise WorkError(f"{REFUSALS} takes were refused in a row: check the microphone's level") from error
                continue
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = folder / f"take-{time.strftime('%Y%m%d-%H%M%S')}-{taken + 1}.wav"
            with replacing(path) as file:
                soundfile.write(file, clip, SAMPLE_RATE_HZ, "PCM_16", format="WAV")
            taken, refused = taken + 1, 0
            console.print_line(f"Kept {path}")
    console.print_line(f"Next:  metaser record ANOTHER_LABEL, then  metaser enroll {into}", style="bold")


def _prompt(console: PlainConsole, take: str) -> None:
    """Wait for Enter on a terminal; otherwise print that the take begins."""
    if not (console.is_terminal and can_ask()):
        console.print_line(f"{take}: speak now.")
        return
    try:
        console.input(f"{take}: press Enter and speak. ")
    except EOFError:  # Ctrl-D
        raise KeyboardInterrupt from None


def _take(microphone: Microphone, seconds: float, console: PlainConsole) -> Waveform:
    """Record one take at 16 kHz, with a level meter.

    Raises:
        AudioError: the take is silent or clipped, or a part of it was lost.
    """
    import numpy as np

    from metaser.runtime import AudioError
    from metaser.runtime.arrays import SAMPLE_RATE_HZ
    from metaser.runtime.audio.load import read_array
    from metaser.runtime.audio.resampler import resample

    microphone.skip()  # audio from before Enter
    blocks: list[Waveform] = []
    lost_before_ms = microphone.dropped_ms
    while (heard_s := sum(map(len, blocks)) / microphone.rate_hz) < seconds:
        chunk = microphone.read()
        blocks.append(chunk.samples)
        if console.is_terminal:
            console.print(f"{level_meter(level_dbfs(chunk.samples), METER_CELLS)} {heard_s:4.1f} s", end="\r")
    if console.is_terminal:
        console.print_line()
    if lost_ms := microphone.dropped_ms - lost_before_ms:
        raise AudioError(f"{lost_ms:.0f} ms of the take were lost: is the microphone plugged in?")
    taken = np.concatenate(list(resample(blocks, microphone.rate_hz, SAMPLE_RATE_HZ)))
    return read_array(taken, "the take").waveform
