"""What a machine has, lacks and can do: doctor, benchmark, energy."""
