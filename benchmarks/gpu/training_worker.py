"""One training run in its own process: `python -m benchmarks.gpu.training_worker SETTINGS.json [--resume]`.

SETTINGS.json holds the tables of a configuration. At the end, also after Ctrl-C, it prints a JSON object: whether the
run was stopped.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from metaser.toolkit.config import Config
from metaser.toolkit.toml_config import to_dataclass
from metaser.toolkit.training.train import train


def main() -> None:
    """Train or resume, then print the result."""
    path = Path(sys.argv[1])
    config = to_dataclass(Config, json.loads(path.read_text(encoding="utf-8")), path.name)
    stopped = False
    try:
        train(config, lambda line: print(line, file=sys.stderr, flush=True), resume="--resume" in sys.argv[2:])
    except KeyboardInterrupt:
        stopped = True
    print(json.dumps({"stopped": stopped}), flush=True)


if __name__ == "__main__":
    main()
