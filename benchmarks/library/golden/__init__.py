"""What `golden.py` is made of: two trees of the program, their inputs, results and cost."""
