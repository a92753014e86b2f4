"""Many frames: folders measured safe to kill and to resume."""
