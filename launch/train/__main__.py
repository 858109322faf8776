"""`python -m launch.train …`, the same as `assay train …`."""

import runpy
import sys

# Run, not imported: the table of verbs imports this package.
sys.argv.insert(1, "train")
runpy.run_module("launch", run_name="__main__")
