"""Run the commands behind the claims of a topic and write their figures into docs/evidence.md."""

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from pathlib import Path

PAGE = Path("docs/evidence.md")
DEVIATIONS = 1.96
"""Standard deviations on either side of the mean that hold 95 % of a normal distribution."""
FAREWELL = re.compile("nanobind|leaked|skipped remainder")
"""Lines that vLLM's libraries print when a process with an engine ends."""
HEADER = "| claim | command | holds | figure | measured |\n|---|---|---|---|---|\n"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Result of the check of a claim."""

    holds: bool
    figure: str
    """The measured numbers, in words."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Row of docs/evidence.md."""

    text: str
    command: str
    """Shell command that checks the claim."""
    check: Callable[[str], Outcome]
    """Run the command and judge its output."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """Command that has ended."""

    code: int
    output: str
    """Standard output."""
    seconds: float
    fault: str
    """Exit code and last line of the error; "" after exit code 0."""

    @property
    def last_line(self) -> str:
        return (self.output.strip().splitlines() or [""])[-1]


def run(command: str, timeout_s: float) -> Done:
    """Run a shell command as a user would."""
    # A make inside make would print more than the command itself.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    start = time.perf_counter()
    done = subprocess.run(
        command, env=environment, shell=True, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    fault = f"exit {done.returncode}: {_telling(done.stdout, done.stderr)[:200]}" if done.returncode else ""
    return Done(code=done.returncode, output=done.stdout, seconds=time.perf_counter() - start, fault=fault)


def _telling(out: str, err: str) -> str:
    """Return the lines that name the error: those of failed tests, else the last that FAREWELL does not match."""
    failed = re.findall(r"^(?:FAILED|ERROR) .*", out, flags=re.MULTILINE)
    said = [line for line in (err.strip() or out.strip()).splitlines() if not FAREWELL.search(line)]
    return "; ".join(failed) or (said[-1] if said else "")


def by_tests(command: str) -> Outcome:
    """Check that the tests pass; the figures are the lines that they print as `figure: …`."""
    done = run(command, timeout_s=1800)
    figures = re.findall(r"^figure: (.*)$", done.output, flags=re.MULTILINE)
    passed = re.findall(r"\d+ (?:passed|failed|error)[^=\n]*", done.output)
    found = "; ".join(figures or passed[-1:]) or "no test ran"
    return Outcome(holds=not done.code, figure=f"{done.fault or found} ({done.seconds:.0f} s)".replace("|", "/"))


def machine() -> str:
    cores = len(os.sched_getaffinity(0))
    return f"{date.today()}, {cores} {platform.machine()} cores, Python {platform.python_version()}"


def write_rows(page: Path, topic: str, rows: list[str]) -> None:
    """Replace the topic's section of the page, or add it."""
    section = f"## {topic}\n\n{HEADER}" + "".join(rows)
    text = page.read_text() if page.exists() else "# Evidence\n"
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    kept = [part.rstrip() for part in parts if not part.startswith(f"## {topic}\n")]
    page.write_text("\n\n".join([*kept, section.rstrip()]) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "topic", choices=sorted(p.stem.removeprefix("evidence_") for p in Path(__file__).parent.glob("evidence_*.py"))
    )
    topic = parser.parse_args().topic
    claims: list[Claim] = import_module(f"benchmarks.evidence_{topic}").CLAIMS
    rows, failed = [], 0
    for claim in claims:
        outcome = claim.check(claim.command)
        failed += not outcome.holds
        verdict = "yes" if outcome.holds else "**no**"
        print(f"{'holds' if outcome.holds else 'FAILS'}: {claim.text} — {outcome.figure}", flush=True)
        typed = claim.command.replace("|", "\\|")
        rows.append(f"| {claim.text} | `{typed}` | {verdict} | {outcome.figure} | {machine()} |\n")
        write_rows(PAGE, topic, rows)
    print(f"{len(claims) - failed} claims hold, {failed} do not; see {PAGE}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
