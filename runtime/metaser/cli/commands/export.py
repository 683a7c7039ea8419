"""`metaser export`: a network becomes a bundle; the work is done by `metaser.export`, which needs PyTorch."""

from pathlib import Path
from typing import Annotated

import typer

from metaser.cli.paths import name_or_folder
from metaser.cli.view.progress import SlowProgress
from metaser.cli.view.terminal import console_for

NEEDED = frozenset({"onnx", "onnxscript", "torch", "transformers"})


ModelArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        callback=name_or_folder,
        help="A checkpoint, a folder or the name of a model on the hub. Without it, the newest checkpoint "
        "under runs/, else facebook/wav2vec2-xls-r-300m.",
    ),
]
OutArgument = Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write.")]
Fp32Option = Annotated[bool, typer.Option("--fp32", help="Full precision; what you get without a choice.")]
Fp16Option = Annotated[bool, typer.Option("--fp16", help="Half precision, for graphics processors.")]
Int8Option = Annotated[bool, typer.Option("--int8", help="Quantised matrix products, for small processors.")]
LayersOption = Annotated[
    int | None, typer.Option("--layers", metavar="L", help="Keep the first L layers of an untrained model.")
]
TensorrtOption = Annotated[
    bool, typer.Option("--tensorrt", help="Add encoder.tensorrt.onnx, for TensorRT on NVIDIA's processors.")
]
WindowOption = Annotated[
    float | None,
    typer.Option("--window", metavar="S", help="The seconds that --tensorrt takes at once; 3 without a choice."),
]
PortableOption = Annotated[
    bool,
    typer.Option("--portable", help="Plain operators of an older opset, for OpenVINO, QNN and older builds."),
]
LongestOption = Annotated[
    float,
    typer.Option("--longest", metavar="S", help="Embed clips of up to S seconds in one piece; longer ones are cut."),
]
ClipsOption = Annotated[
    Path | None, typer.Option("--clips", metavar="DIR", help="Speech on which the graphs are compared as well.")
]
StaticOption = Annotated[
    bool, typer.Option("--static", help="With --int8: fix the scales of activations on the clips of --clips.")
]
CorpusOption = Annotated[
    list[Path] | None,
    typer.Option("--corpus", metavar="DIR", help="Labelled speech to measure accuracy on; may come several times."),
]
PickLayersOption = Annotated[
    bool, typer.Option("--pick-layers", help="Only print accuracy and cost after each layer, on --corpus.")
]
NameOption = Annotated[str | None, typer.Option("--name", help="What the bundle is called.")]
LicenceOption = Annotated[
    str | None, typer.Option("--licence", metavar="SPDX", help="The licence of the weights, such as MIT.")
]
CalibrationOption = Annotated[
    Path | None, typer.Option("--calibration", metavar="FILE.json", help="Temperature, threshold and margin.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace OUT where it exists.")]


def export(  # noqa: PLR0913 # one parameter an option
    *,
    model: ModelArgument = None,
    out: OutArgument = Path("bundle"),
    fp32: Fp32Option = False,
    fp16: Fp16Option = False,
    int8: Int8Option = False,
    layers: LayersOption = None,
    tensorrt: TensorrtOption = False,
    window_s: WindowOption = None,
    portable: PortableOption = False,
    longest_s: LongestOption = 10.0,
    clips: ClipsOption = None,
    static: StaticOption = False,
    corpus: CorpusOption = None,
    pick_layers: PickLayersOption = False,
    name: NameOption = None,
    licence: LicenceOption = None,
    calibration: CalibrationOption = None,
    force: ForceOption = False,
) -> None:
    """Write a bundle: the network in the form a small device runs.

    The bundle is compared with PyTorch before it is written. Give --bundle OUT to the other commands to use it.
    This needs more than a device does: `pip install 'metaser[export]'`
    """
    from metaser.runtime import InputError, MissingDependencyError

    chosen = [precision for precision, asked in {"fp32": fp32, "fp16": fp16, "int8": int8}.items() if asked]
    if len(chosen) > 1:
        raise InputError(f"--{' and --'.join(chosen)} exclude each other: choose one")
    try:
        from metaser.export.command import ExportRequest, run_export

        request = ExportRequest(
            model, out, chosen[0] if chosen else "fp32", layers, tensorrt=tensorrt, window_s=window_s,
            portable=portable, longest_s=longest_s, clips=clips, static=static, corpus=tuple(corpus or ()),
            pick_layers=pick_layers, force=force, name=name, licence=licence, calibration=calibration,
        )  # fmt: skip
        with SlowProgress("Computing layers", as_json=False) as progress:
            run_export(request, console_for(as_json=False).print_line, progress)
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in NEEDED:
            raise
        raise MissingDependencyError("`metaser export` needs PyTorch: pip install 'metaser[export]'") from error
