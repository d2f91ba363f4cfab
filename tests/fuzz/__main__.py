"""Fuzz one target for some minutes: `make fuzz` runs all of them, one after the other.

What was found to lead further is kept in the corpus, and the next run begins with that.
"""

from __future__ import annotations

import argparse
import logging
import sys
from hashlib import sha1
from importlib import import_module
from pathlib import Path

import structlog

#: Bytes of the longest input, seconds that one may take, and megabytes of the process.
_LIMITS = ["-max_len=8192", "-timeout=20", "-rss_limit_mb=1500"]


def main() -> None:
    """Fuzz; libFuzzer ends the process, by 0 where nothing was found."""
    wanted = _arguments()
    try:
        import atheris  # noqa: PLC0415 - it has no wheel for each Python
    except ImportError:
        sys.exit("atheris has no wheel here; the seeds and Hypothesis run with the tests.")
    # Each input would be told of.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    instrumented = ["postwire", "postwire_worker", "postwire_api", "postwire_gateway"]
    theirs = ["imaplib", "imapclient", "email", "jwt"]
    with atheris.instrument_imports(include=instrumented + theirs):
        target = import_module(f"fuzz.{wanted.target}")
    corpus = wanted.corpus / wanted.target
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (corpus / sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)
    found = wanted.corpus / f"found-{wanted.target}-"
    seconds = f"-max_total_time={round(wanted.minutes * 60)}"
    options = [str(corpus), seconds, f"-artifact_prefix={found}", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, *_LIMITS], target.run)
    atheris.Fuzz()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--corpus", type=Path, default=Path("var/fuzz"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
