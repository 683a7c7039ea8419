"""What metaser asks of the operating system: files, locks, folders, cores."""
