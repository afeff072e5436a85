"""MLflow: runs, versions, aliases, lineage and the model card."""
