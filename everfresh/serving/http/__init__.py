"""The HTTP transports: each turns one wire format into the neutral request and back."""
