"""Write the tables of scores in README.md and docs/network.md, from the model card of the network that ships.

    python -m website.score_table

README holds the first score of each real cohort, docs/network.md all of them. A test compares both with the card.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from sleepkd.checkpoints.shipped import shipped_checkpoint
from sleepkd.errors import run_command
from sleepkd.files import write_text_atomically
from sleepkd.prediction.card import CARD_FILE, CardScore, ModelCard, read_card

REPOSITORY = Path(__file__).resolve().parent.parent
README, NETWORK_PAGE = REPOSITORY / "README.md", REPOSITORY / "docs" / "network.md"
MARKS = re.compile(r"(?<=<!-- scores -->\n).*?(?=<!-- end of scores -->)", re.DOTALL)
"""What lies between the marks of a page."""


def main() -> None:
    """Write both tables."""
    for page in (README, NETWORK_PAGE):
        write_text_atomically(page, with_scores(page))


def with_scores(page: Path) -> str:
    """The text of a page with the table of today's card between its marks."""
    card = read_card(shipped_checkpoint().with_name(CARD_FILE))
    table = score_table(card, short=page == README)
    text, found = MARKS.subn(lambda _: table, page.read_text(encoding="utf-8"))
    if found != 1:
        raise ValueError(f"{page}: {found} tables between <!-- scores --> and <!-- end of scores -->")
    return text


def score_table(card: ModelCard, short: bool) -> str:
    """A line for each cohort and input, a column for each number of classes. short: real cohorts, as recorded."""
    if short:
        inputs = {(score.cohort, score.input, score.every_s) for score in card.main_scores}
        scores = [x for x in card.scores if (x.cohort, x.input, x.every_s) in inputs and not x.group and x.real]
    else:
        scores = list(card.scores)
    classes = sorted({score.classes for score in scores}, reverse=True)
    rows: dict[tuple[str, ...], list[CardScore]] = {}
    for score in scores:
        nights = f"{score.nights} {'' if score.real else 'simulated '}nights"
        cohort = f"{score.cohort}, {score.group}" if score.group else score.cohort
        rows.setdefault((score.input_text, f"{cohort}, {nights}"), []).append(score)
    lines = [
        "| input | nights | " + " | ".join(f"kappa, {k} classes" for k in classes) + " |",
        "|---|---|" + "---:|" * len(classes),
    ]
    lines += [f"| {' | '.join([*row, *(_cell(found, k) for k in classes)])} |" for row, found in rows.items()]
    return "\n".join(["", *lines, "", ""])


def _cell(scores: Sequence[CardScore], classes: int) -> str:
    """Kappa and its interval, for example "0.46 (0.37 to 0.53)"."""
    score = next((score for score in scores if score.classes == classes), None)
    if score is None:
        return "–"
    interval = "" if score.low is None or score.high is None else f" ({score.low:z.2f} to {score.high:z.2f})"
    return f"{score.kappa:z.2f}{interval}"


if __name__ == "__main__":
    run_command(main)
