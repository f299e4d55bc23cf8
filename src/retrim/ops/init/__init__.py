"""`retrim init`: from somebody's own table to a workspace that works on it."""
