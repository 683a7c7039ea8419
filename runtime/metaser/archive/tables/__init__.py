"""The results of an archive as tables, transcripts with labels, and timelines of speakers."""
