"""`optimum-cli export metaser`: what `metaser export` does, as a command of Optimum, which finds it by this folder."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path

from optimum.commands.base import BaseOptimumCLICommand, CommandInfo
from optimum.commands.export.base import ExportCommand

INTERRUPTED = 130


class MetaserExportCommand(BaseOptimumCLICommand):
    """The command; what it needs is imported when it runs, so that Optimum's help stays quick."""

    COMMAND = CommandInfo(name="metaser", help="Export a speech encoder as a metaser bundle for small devices.")

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        """Declare the options of `metaser export`."""
        parser.add_argument("model", nargs="?", help="A checkpoint, a folder or the name of a model on the hub.")
        parser.add_argument("out", nargs="?", type=Path, default=Path("bundle"), help="The folder to write.")
        precision = parser.add_mutually_exclusive_group()
        for name, help_text in (
            ("fp32", "Full precision; what you get without a choice."),
            ("fp16", "Half precision, for graphics processors."),
            ("int8", "Quantised matrix products, for small processors."),
        ):
            precision.add_argument(f"--{name}", dest="precision", action="store_const", const=name, help=help_text)
        parser.set_defaults(precision="fp32")
        parser.add_argument("--layers", type=int, metavar="L", help="Keep the first L layers of an untrained model.")
        parser.add_argument(
            "--tensorrt", action="store_true", help="Add encoder.tensorrt.onnx, for TensorRT on NVIDIA's processors."
        )
        parser.add_argument(
            "--window",
            dest="window_s",
            type=float,
            metavar="S",
            help="The seconds that --tensorrt takes at once; 3 without a choice.",
        )
        parser.add_argument(
            "--portable",
            action="store_true",
            help="Plain operators of an older opset, for OpenVINO, QNN and older builds.",
        )
        parser.add_argument(
            "--longest",
            dest="longest_s",
            type=float,
            default=10.0,
            metavar="S",
            help="Embed clips of up to S seconds in one piece; longer ones are cut.",
        )
        parser.add_argument(
            "--clips", type=Path, metavar="DIR", help="Speech on which the graphs are compared as well."
        )
        parser.add_argument(
            "--static", action="store_true", help="With --int8: fix the scales of activations on the clips of --clips."
        )
        parser.add_argument(
            "--corpus",
            type=Path,
            metavar="DIR",
            action="append",
            default=[],
            help="Labelled speech to measure accuracy on; may come several times.",
        )
        parser.add_argument(
            "--pick-layers", action="store_true", help="Only print accuracy and cost after each layer, on --corpus."
        )
        parser.add_argument("--name", help="What the bundle is called.")
        parser.add_argument("--licence", metavar="SPDX", help="The licence of the weights, such as MIT.")
        parser.add_argument("--calibration", type=Path, metavar="FILE.json", help="Temperature, threshold and margin.")
        parser.add_argument("--force", action="store_true", help="Replace OUT where it exists.")

    def run(self) -> None:
        """Export; an error is one line on standard error and the exit code of `metaser export`."""
        from metaser.cli.console import complain
        from metaser.cli.terminal import people
        from metaser.export.command import ExportRequest, run_export
        from metaser.runtime.errors import MetaserError

        self.args.corpus = tuple(self.args.corpus)
        given = {name: value for name, value in vars(self.args).items() if name in ExportRequest.__dataclass_fields__}
        try:
            run_export(ExportRequest(**given), people(as_json=False).say)
        except MetaserError as error:
            complain(error)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)


REGISTER_COMMANDS = [(MetaserExportCommand, ExportCommand)]
