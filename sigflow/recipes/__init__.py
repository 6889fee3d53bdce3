"""One complete experiment per file, in Python; `recipe.py` says what an experiment is."""
