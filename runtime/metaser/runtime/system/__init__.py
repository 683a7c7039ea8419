"""Access to the operating system: files, locks, folders, cores."""
