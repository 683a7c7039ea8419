"""Printed output: lines, JSON, tables, bars and progress."""
