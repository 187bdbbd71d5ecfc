"""Measurements of this service on one machine. Not part of the tests: they take minutes and want the machine alone."""
