"""The inference server and its client: no Prefect, no training code, no pandas on the way of a request."""
