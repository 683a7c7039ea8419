"""The toolkit's tiny random encoders, on which the benchmarks' tests train."""

from tests.toolkit.conftest import one_thread, saved, whisper

__all__ = ["one_thread", "saved", "whisper"]
