"""Pure: frames, numbers and frozen records. No disk, clock, network or vendor."""
