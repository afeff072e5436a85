"""From a fitted scikit-learn pipeline to an ONNX graph in float64 that gives the same answers."""
