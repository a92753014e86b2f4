"""What is asked of the operating system: files, threads, the machine."""
