"""What the commands show, as reports: one module a subject."""
