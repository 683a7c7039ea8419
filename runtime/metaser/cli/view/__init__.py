"""What is printed: lines, JSON, tables, bars and progress."""
