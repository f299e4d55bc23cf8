"""What a table of somebody's own looks like, and what its params.yaml and suite should say."""
