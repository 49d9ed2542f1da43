"""The demo: its arithmetic and its edits without processes, and one whole show."""
