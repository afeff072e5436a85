"""Replaying a table's history as if it happened now: real requests, late labels, checks, retrains."""
