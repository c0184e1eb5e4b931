"""Summarise a prepared store: recordings, labels, signal quality, split and warnings; optionally an HTML page."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sleepkd.cohorts.remarks import joined
from sleepkd.data.store import Store
from sleepkd.errors import EXIT_USER_ERROR, UserError, run_command
from sleepkd.evaluation.pictures.drawing import require_figures
from sleepkd.files import write_text_atomically
from sleepkd.inspection.store_page import write_page
from sleepkd.inspection.store_summary import split_balance, subset_totals, summarise_store, summary_table


def main(arguments: list[str] | None = None) -> int:
    """Print the summary; exit code 2 where a recording cannot be read."""
    args = _parse(arguments)
    if args.html:
        require_figures()
    store = Store(args.store)
    summaries, unreadable = summarise_store(store)
    table = summary_table(summaries)
    print(aligned_columns(table))
    print("\n".join(subset_totals(summaries)))
    balance = split_balance(store, summaries, args.split) if (args.store / "splits" / args.split).is_dir() else []
    if balance:
        print(aligned_columns(balance))
    for one in summaries:
        for warning in one.warnings:
            print(f"{one.recording}: {warning}")
    for line in unreadable:
        print(f"cannot be read: {line}")
    if args.tsv:
        header = [*table[0][:-1], "channels", "warnings"]
        rows = [[*row[:-1], one.channels, joined(one.warnings)] for row, one in zip(table[1:], summaries, strict=True)]
        write_text_atomically(args.tsv, "".join("\t".join(row) + "\n" for row in [header, *rows]))
    if args.html:
        print(write_page(store, summaries, unreadable, balance, args.html, args.max_figures))
    return EXIT_USER_ERROR if unreadable else 0


def aligned_columns(table: Sequence[Sequence[str]]) -> str:
    """Rows of texts as lines with aligned columns, the first left-aligned, the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for first, *others in table:
        lines.append("  ".join([first.ljust(widths[0]), *(map(str.rjust, others, widths[1:]))]).rstrip())
    return "\n".join(lines)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sleepkd inspect", usage="%(prog)s STORE [OPTION ...]", description=__doc__)
    parser.add_argument("store", type=Path, metavar="STORE", help="folder that `sleepkd prepare` wrote")
    parser.add_argument("--html", type=Path, metavar="FOLDER", help="write FOLDER/index.html with a figure per night")
    parser.add_argument(
        "--max-figures", type=int, default=100, metavar="COUNT", help="largest number of figures (default: 100)"
    )
    parser.add_argument("--most", dest="max_figures", type=int, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.add_argument("--tsv", type=Path, metavar="FILE", help="write the table, with channels and warnings, to FILE")
    parser.add_argument("--split", default="default", metavar="NAME", help="split to summarise (default: default)")
    args = parser.parse_args(arguments)
    if args.max_figures < 1:
        raise UserError("--max-figures: must be at least 1")
    return args


if __name__ == "__main__":
    run_command(main)
