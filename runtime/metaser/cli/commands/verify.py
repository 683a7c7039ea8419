"""`metaser verify`: check that this device reproduces the golden vectors of a bundle."""

from metaser.cli.open_engine import open_engine
from metaser.cli.options import AnyBundleOption, JsonOption, Provider, ProviderOption, ThreadsOption
from metaser.cli.view.console import print_json
from metaser.cli.view.terminal import console_for, new_table


def verify(
    *,
    bundle: AnyBundleOption = None,
    provider: ProviderOption = Provider.auto,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check that this device reproduces the bundle's reference results.

    Every bundle contains a short synthetic sound and the reference outputs of the network for it. This command runs the
    network on the sound and compares. The exit code is 0 if the results agree and 1 if they differ.
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
            frames_limit=found.frames_limit,
            embedding_cosine=found.embedding_cosine,
            cosine_limit=found.cosine_limit,
            passed=found.passed,
        )
    else:
        table = new_table("", "measured", "limit")
        limit = "none for int8 and fp16" if found.frames_limit is None else f"at most {found.frames_limit:g}"
        table.add_row("cosine of the embedding", f"{found.embedding_cosine:.6f}", f"at least {found.cosine_limit:g}")
        table.add_row("largest difference of frames, relative", f"{found.frames_max_difference:.1e}", limit)
        console = console_for(as_json)
        console.print_line(f"Bundle {name} on {engine.provider}:")
        console.print(table)
    if not found.passed:
        raise WorkError(
            f"{name} on {engine.provider} does not reproduce its golden vectors: "
            "do not trust its labels on this device; try --provider cpu"
        )
    console_for(as_json).print_line("This device reproduces the reference results of the bundle.")
