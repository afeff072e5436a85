"""Fakes that are shipped, and checks that every implementation of a protocol must pass. Nothing here needs pytest."""
