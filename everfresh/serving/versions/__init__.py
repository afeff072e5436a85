"""Which versions of which models serve, and how that changes while they do."""
