"""From what a request says to rows that fit a model."""
