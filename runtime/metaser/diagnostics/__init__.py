"""Diagnostics of a machine: doctor, benchmark, energy."""
