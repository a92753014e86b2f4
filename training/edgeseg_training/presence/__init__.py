"""Teach an exported model of heads to say whether there is one."""
