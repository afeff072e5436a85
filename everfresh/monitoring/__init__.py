"""Watching production: profiles, drift, performance on matured labels, and whether to retrain."""
