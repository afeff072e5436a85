"""What is counted, by each worker and by all of them, and how it is told."""
