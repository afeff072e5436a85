"""What is kept of requests and answers, and the labels that come back."""
