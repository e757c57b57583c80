"""Telecom carriers, a package per dialect."""
