"""The places where a model can serve, one file each, behind one small protocol."""
