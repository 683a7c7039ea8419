"""`metaser export`: write a network as a bundle; `metaser.export` does the work and needs PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.paths import name_or_folder
from metaser.cli.view.progress import SlowProgress
from metaser.cli.view.terminal import console_for

if TYPE_CHECKING:
    from metaser.runtime.bundles.manifest import Precision

NEEDED = frozenset({"onnx", "onnxscript", "torch", "transformers"})


ModelArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        callback=name_or_folder,
        help="A checkpoint folder, or the name of a model on the Hugging Face hub. Without it, the newest checkpoint "
        "under runs/, or facebook/wav2vec2-xls-r-300m if there is none.",
    ),
]
OutArgument = Annotated[Path, typer.Argument(metavar="OUT", help="The bundle folder to write.")]
Fp32Option = Annotated[bool, typer.Option("--fp32", help="Full precision, the default.")]
Fp16Option = Annotated[bool, typer.Option("--fp16", help="Half precision, for GPUs.")]
Int8Option = Annotated[bool, typer.Option("--int8", help="8-bit matrix products, for small CPUs.")]
LayersOption = Annotated[
    int | None, typer.Option("--layers", metavar="L", help="Keep only the first L layers of a pretrained model.")
]
TensorrtOption = Annotated[
    bool, typer.Option("--tensorrt", help="Also write encoder.tensorrt.onnx, for TensorRT on NVIDIA GPUs.")
]
WindowOption = Annotated[
    float | None,
    typer.Option("--window", metavar="S", help="Window length of the --tensorrt encoder, in seconds; 3 by default."),
]
PortableOption = Annotated[
    bool,
    typer.Option(
        "--portable", help="Use only operators of an older opset, for OpenVINO, QNN and older ONNX Runtime builds."
    ),
]
LongestOption = Annotated[
    float,
    typer.Option("--longest", metavar="S", help="Embed clips of up to S seconds in one piece; longer clips are split."),
]
ClipsOption = Annotated[
    Path | None,
    typer.Option("--clips", metavar="DIR", help="Speech clips on which the bundle is also compared with PyTorch."),
]
StaticOption = Annotated[
    bool, typer.Option("--static", help="With --int8: static quantisation, with activation scales measured on --clips.")
]
CorpusOption = Annotated[
    list[Path] | None,
    typer.Option("--corpus", metavar="DIR", help="Labelled speech to measure accuracy on. May be repeated."),
]
PickLayersOption = Annotated[
    bool, typer.Option("--pick-layers", help="Only print accuracy and cost after each layer, measured on --corpus.")
]
NameOption = Annotated[str | None, typer.Option("--name", help="The name of the bundle.")]
LicenceOption = Annotated[
    str | None, typer.Option("--licence", metavar="SPDX", help="The licence of the weights, such as MIT.")
]
CalibrationOption = Annotated[
    Path | None,
    typer.Option("--calibration", metavar="FILE.json", help="A file with temperature, threshold and margin."),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace OUT if it exists.")]


def export(  # noqa: PLR0913 # one parameter per option
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
    """Convert a network into a bundle, the files that metaser runs on a device.

    The exported network is compared with PyTorch before the bundle is written. To use the bundle, give the other
    commands --bundle OUT. Export needs PyTorch: `pip install 'metaser[export]'`
    """
    from metaser.runtime import InputError, MissingDependencyError

    asked: dict[Precision, bool] = {"fp32": fp32, "fp16": fp16, "int8": int8}
    chosen = [precision for precision, wanted in asked.items() if wanted]
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
