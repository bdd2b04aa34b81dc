"""An ordinary application: it indexes the source files of Python's standard library.

One job parses one file. One job for each package adds up its files, and one last job adds up the
packages. `python -m stdlib_index jobs.db` submits them; workers run them.
"""
