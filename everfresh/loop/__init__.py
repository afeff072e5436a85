"""The turns of the loop as plain functions: what the flows put in order, without Prefect."""
