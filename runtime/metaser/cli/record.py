"""`metaser record`: support clips from the microphone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.console import PlainConsole, people

if TYPE_CHECKING:
    from metaser.runtime.arrays import Waveform
    from metaser.runtime.microphone import Microphone

METER_CELLS, METER_RANGE_DB = 30, 60
REFUSALS = 5


def record(
    *,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="The class that the clips belong to.")],
    count: Annotated[int, typer.Option("--count", metavar="N", help="How many clips to take.", min=1)] = 5,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="SECONDS", help="How long each is.", min=1, max=60)
    ] = 3.0,
    into: Annotated[Path, typer.Option("--into", metavar="SUPPORT", help="The support folder.")] = Path("support"),
    device: Annotated[
        str | None, typer.Option("--device", metavar="NAME|NUMBER", help="Which microphone. Without it, the default.")
    ] = None,
) -> None:
    """Take support clips from the microphone into SUPPORT/LABEL/.

    Press Enter before each take and speak. A take that is silent or clipped is refused and taken again.
    """
    import soundfile

    from metaser.runtime import AudioError, InputError, WorkError
    from metaser.runtime.arrays import SAMPLE_RATE_HZ
    from metaser.runtime.microphone import Microphone

    if not label.strip() or label.startswith(".") or "/" in label or "\0" in label:
        raise InputError(f"{label!r} cannot be a folder's name: give a label without / that does not begin with a dot")
    console = people(as_json=False)
    folder = into / label
    taken = refused = 0
    with Microphone(device) as microphone:
        console.say(f"{count} takes of {seconds:g} s for {label}, from {microphone.name}.")
        while taken < count:
            if console.is_terminal:
                console.input(f"Take {taken + 1} of {count}: press Enter and speak. ")
            try:
                clip = _take(microphone, seconds, console)
            except AudioError as error:
                refused += 1
                console.say(f"Refused: {error}")
                if refused == REFUSALS:
                    raise WorkError(f"{REFUSALS} takes were refused in a row: check the microphone's level") from error
                continue
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = folder / f"take-{time.strftime('%Y%m%d-%H%M%S')}-{taken + 1}.wav"
            soundfile.write(path, clip, SAMPLE_RATE_HZ, "PCM_16")
            taken, refused = taken + 1, 0
            console.say(f"Kept {path}")
    console.say(f"Next:  metaser record ANOTHER_LABEL, then  metaser enroll {into}", style="bold")


def _take(microphone: Microphone, seconds: float, console: PlainConsole) -> Waveform:
    """One take at 16 kHz, with a level meter.

    Raises:
        AudioError: it is silent or clipped.
    """
    import numpy as np

    from metaser.runtime.audio import check_array, resample

    microphone.read(0.0)  # what was heard before Enter
    blocks: list[Waveform] = []
    while (heard := sum(map(len, blocks))) < seconds * microphone.rate_hz:
        samples = microphone.read().samples
        blocks.append(samples)
        if console.is_terminal:
            level_db = 20 * np.log10(max(1e-5, float(np.abs(samples).max(initial=0))))
            cells = max(0, min(METER_CELLS, round(METER_CELLS * (1 + level_db / METER_RANGE_DB))))
            meter = "#" * cells + "-" * (METER_CELLS - cells)
            console.print(f"[{meter}] {heard / microphone.rate_hz:.1f} s", end="\r")
    return check_array(np.concatenate(list(resample(blocks, microphone.rate_hz))), "the take")
