"""What the scripts beside this folder have in common; none of it is a script to run by hand."""
