"""How good a model is, and whether that is good enough: scores, comparisons, gates and the verdict."""
