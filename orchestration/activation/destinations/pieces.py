"""A batch that takes several calls of the provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from orchestration.activation.destinations.interface import (
    PENDING,
    UNKNOWN,
    LostAnswer,
    NotTaken,
    Outcome,
    Row,
)

#: Single rows without an answer, one after the other, after which the provider is taken to be away.
MOST_LOST = 3


def in_pieces(
    rows: Sequence[Row], most: int, send: Callable[[Sequence[Row]], Mapping[str, Outcome]]
) -> dict[str, Outcome]:
    """Send rows by so many a call, and return what became of each.

    After a call that fails no other is made: its rows are unknown or pending, those after it pending. But one row that
    never gets an answer does not keep the others back: of single rows three in a row have to fail. Raises NotTaken
    where the first of them was not taken, and whatever else ``send`` raises.
    """
    outcomes: dict[str, Outcome] = {}
    lost = 0
    for start in range(0, len(rows), most):
        piece = rows[start : start + most]
        try:
            outcomes.update(send(piece))
            lost = 0
            continue
        except NotTaken as error:
            if not outcomes:
                raise
            of_piece = Outcome(PENDING, error.code)
        except LostAnswer as error:
            of_piece = Outcome(UNKNOWN, error.code)
            lost += 1
        outcomes.update({row.key: of_piece for row in piece})
        if len(piece) == 1 and 0 < lost < MOST_LOST and of_piece.status == UNKNOWN:
            continue
        outcomes.update({row.key: Outcome(PENDING, of_piece.code) for row in rows[start + most :]})
        break
    return outcomes
