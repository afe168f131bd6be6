"""Models in and out of rlcore: the arrays, environments and files that people have."""
