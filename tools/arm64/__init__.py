"""metaser on arm64 without a board: a Debian root for arm64, in which an emulator runs what is installed."""
