"""What one model is: typed, frozen, unknown keys refused."""
