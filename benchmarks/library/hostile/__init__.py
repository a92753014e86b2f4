"""What hostile files are made of, a module for each kind: ``make`` one, and ``read`` it."""
