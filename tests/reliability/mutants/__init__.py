"""Wrong products that the matrix must catch, made by patches in their processes.

| file | holds |
|---|---|
| `matrix.py` | mistakes, each with the auditor's rule that must break and a case that shows it |
| `drills.py` | those that a drill must catch |
| `leaks.py` | those in what a run leaves behind: personal data, lines of the trail |
| `runs.py` | versions of the saga that end their runs in the middle |
"""
