"""`python -m launch <verb> …`, the same as `assay <verb> …`."""

from launch.cli import main

raise SystemExit(main())
