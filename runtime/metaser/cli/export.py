"""`metaser export`: a network becomes a bundle; the work is done by `metaser.export`, which needs PyTorch."""

from pathlib import Path
from typing import Annotated

import typer

from metaser.cli.paths import name_or_folder
from metaser.cli.terminal import people

NEEDED = frozenset({"onnx", "onnxscript", "torch", "transformers"})


def export(  # noqa: PLR0913 # one parameter an option
    *,
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            callback=name_or_folder,
            help="A checkpoint, a folder or the name of a model on the hub. Without it, the newest checkpoint "
            "under runs/, else facebook/wav2vec2-xls-r-300m.",
        ),
    ] = None,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write.")] = Path("bundle"),
    fp32: Annotated[bool, typer.Option("--fp32", help="Full precision; what you get without a choice.")] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="Half precision, for graphics processors.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Quantised matrix products, for small processors.")] = False,
    layers: Annotated[
        int | None, typer.Option("--layers", metavar="L", help="Keep the first L layers of an untrained model.")
    ] = None,
    tensorrt: Annotated[
        bool, typer.Option("--tensorrt", help="Add encoder.tensorrt.onnx, for TensorRT on NVIDIA's processors.")
    ] = False,
    window_s: Annotated[
        float | None,
        typer.Option("--window", metavar="S", help="The seconds that --tensorrt takes at once; 3 without a choice."),
    ] = None,
    portable: Annotated[
        bool,
        typer.Option("--portable", help="Plain operators of an older opset, for OpenVINO, QNN and older builds."),
    ] = False,
    longest_s: Annotated[
        float,
        typer.Option(
            "--longest", metavar="S", help="Embed clips of up to S seconds in one piece; longer ones are cut."
        ),
    ] = 10.0,
    clips: Annotated[
        Path | None, typer.Option("--clips", metavar="DIR", help="Speech on which the graphs are compared as well.")
    ] = None,
    static: Annotated[
        bool, typer.Option("--static", help="With --int8: fix the scales of activations on the clips of --clips.")
    ] = False,
    corpus: Annotated[
        list[Path] | None,
        typer.Option("--corpus", metavar="DIR", help="Labelled speech to measure accuracy on; may come several times."),
    ] = None,
    pick_layers: Annotated[
        bool, typer.Option("--pick-layers", help="Only print accuracy and cost after each layer, on --corpus.")
    ] = False,
    name: Annotated[str | None, typer.Option("--name", help="What the bundle is called.")] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", metavar="SPDX", help="The licence of the weights, such as MIT.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", metavar="FILE.json", help="Temperature, threshold and margin.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT where it exists.")] = False,
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
        run_export(request, people(as_json=False).say)
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in NEEDED:
            raise
        raise MissingDependencyError("`metaser export` needs PyTorch: pip install 'metaser[export]'") from error
