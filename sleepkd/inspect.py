"""python -m sleepkd.inspect STORE: what a prepared store holds, and what to look at."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sleepkd.cohorts.remarks import joined
from sleepkd.data.store import Store
from sleepkd.errors import EXIT_USER_ERROR, UserError, run_command
from sleepkd.files import write_text_atomically
from sleepkd.inspection.store_summary import all_facts, balance, lines, totals


def main(arguments: list[str] | None = None) -> int:
    """Print the table; exit code 2 where a recording cannot be read."""
    args = _parse(arguments)
    store = Store(args.store)
    facts, damaged = all_facts(store)
    table = lines(facts)
    print(aligned(table))
    print("\n".join(totals(facts)))
    parts = balance(store, facts, args.split) if (args.store / "splits" / args.split).is_dir() else []
    if parts:
        print(aligned(parts))
    for one in facts:
        print(*(f"{one.recording}: {warning}" for warning in one.warnings), sep="\n", end="\n" if one.warnings else "")
    for line in damaged:
        print(f"cannot be read: {line}")
    if args.tsv:
        header = [*table[0][:-1], "channels", "warnings"]
        rows = [[*row[:-1], f.channels, joined(f.warnings)] for row, f in zip(table[1:], facts, strict=True)]
        write_text_atomically(args.tsv, "".join("\t".join(row) + "\n" for row in [header, *rows]))
    if args.html:
        from sleepkd.inspection.store_page import write_page  # here: a table needs no drawing library

        print(write_page(store, facts, damaged, parts, args.html, args.most))
    return EXIT_USER_ERROR if damaged else 0


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Rows of texts in columns, the first set left."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    out = []
    for first, *others in table:
        out.append("  ".join([first.ljust(widths[0]), *(map(str.rjust, others, widths[1:]))]).rstrip())
    return "\n".join(out)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sleepkd.inspect", description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--html", type=Path, metavar="DIR", help="also write DIR/index.html, a page with every night")
    parser.add_argument("--most", type=int, default=100, help="pictures on the page (default 100)")
    parser.add_argument("--tsv", type=Path, metavar="FILE", help="also write the table, with channels and warnings")
    parser.add_argument("--split", default="default", help="whose balance to show (default: default)")
    args = parser.parse_args(arguments)
    if args.most < 1:
        raise UserError("--most: must be at least 1")
    return args


if __name__ == "__main__":
    run_command(main)
