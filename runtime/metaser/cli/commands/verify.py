"""`metaser verify`: does this device compute what the bundle's golden vectors say?"""

from metaser.cli.open_engine import open_engine
from metaser.cli.options import BundleOption, JsonOption, Provider, ProviderOption, ThreadsOption
from metaser.cli.view.console import print_json
from metaser.cli.view.terminal import console_for, new_table


def verify(
    *,
    bundle: BundleOption = None,
    provider: ProviderOption = Provider.auto,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check that this device computes what the bundle promises.

    Every bundle holds a short synthetic sound and what the network makes of it. This runs the sound here and compares.
    The exit code is 0 where they agree and 1 where they do not.
    """
    from metaser.runtime import WorkError

    engine = open_engine(bundle, provider, threads)
    found = engine.verify()
    name = engine.bundle.manifest.name
    if as_json:
        print_json(
            bundle=name,
            provider=engine.provider,
            frames_max_difference=found.frames_max_difference,
            embedding_cosine=found.embedding_cosine,
            passed=found.passed,
        )
    else:
        table = new_table("bundle", "provider", "largest difference of frames", "cosine of embeddings")
        difference = f"{found.frames_max_difference:.1e} of the largest value"
        table.add_row(name, engine.provider, difference, f"{found.embedding_cosine:.6f}")
        console_for(as_json).print(table)
    if not found.passed:
        raise WorkError(
            f"{name} on {engine.provider} does not reproduce its golden vectors: "
            "its labels are not to be trusted here; try --provider cpu"
        )
    console_for(as_json).print_line("This device computes what the bundle promises.")
