"""The table of a latency run in Markdown, from its JSON document."""

from __future__ import annotations

from typing import Any

OURS = "metaser int8, 24 layers"


def to_markdown(document: dict[str, Any]) -> str:
    """The machine, the table and what each column means."""
    machine, peers = document["machine"], document["peers"]
    products = document["matrix_product_ms"]
    lines = [
        f"# {document['model']}: a clip of {document['seconds']:g} s on {document['threads']} threads",
        "",
        f"{machine['processor']} ({', '.join(machine['flags']) or 'no vector flags'}), {machine['cores']} cores, "
        f"commit {machine['commit']}. `{document['command']}`",
        "",
        f"Best median of {document['rounds']} rounds of {document['runs']} alternating runs after two to warm up, in "
        f"milliseconds. Ratios are medians of runs side by side. A fixed 1024³ float32 product took "
        f"{min(products):.1f} to {max(products):.1f} ms between the rounds.",
        "",
        "| | ms | int8 is faster by | load, s | peak memory, MB |",
        "|---|---|---|---|---|",
    ]
    for name, own in peers.items():
        ratio = peers[OURS]["ratios"].get(name)
        faster = f"{ratio:.2f}" if ratio else ""
        lines.append(
            f"| {name} | {own['best_median_ms']:.0f} | {faster} | {own['load_s']:.1f} | {own['peak_mb']:.0f} |"
        )
    sizes = "; ".join(f"{name} {size:.0f} MB" for name, size in document["bundle_mb"].items())
    lines += ["", f"Encoders: {sizes}."]
    for name, cost in document["exports"].items():
        lines.append(f"Exporting {name} took {cost['seconds']:.0f} s and {cost['peak_mb'] / 1024:.1f} GB.")
    return "\n".join(lines) + "\n"
