"""The bundle: the one directory that every target starts from, and the exact scoring plan inside it."""
