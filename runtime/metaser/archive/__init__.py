"""Archives: hundreds of hours of recordings in, and a label per clip, utterance or line of a transcript out.

A job runs in a process per core, or on a Ray cluster, and continues after it was stopped or killed.
"""

from metaser.archive.label import Options, Progress, label_archive
from metaser.archive.source.source import Source
from metaser.archive.tables.summary import Summary
from metaser.archive.transcripts.find import Transcripts
from metaser.archive.work.job import Job

__all__ = ["Job", "Options", "Progress", "Source", "Summary", "Transcripts", "label_archive"]
