"""Faults of public trainers, each with a check that our code does not have it and the way to put it back."""
