"""Tables: where they come from, what their columns are, how they are checked, split and identified."""
