"""Data sets from a source to a clean, split, documented one: what the dataset page, its jobs and
the data command share."""
