"""From a spec's candidates to one fitted pipeline: search, selection, fitting."""
