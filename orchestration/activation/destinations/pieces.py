"""A batch that takes several calls of the provider."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from orchestration.activation.destinations.interface import (
    PENDING,
    UNKNOWN,
    LostAnswer,
    NotTaken,
    Outcome,
    Refused,
    Row,
    rejected,
)

#: Single rows without an answer, one after the other, after which the provider is taken to be away.
_MOST_LOST = 3


def piecewise(
    pieces: Iterable[Sequence[Row]],
    say: Callable[[Sequence[Row]], Mapping[str, Outcome]],
    unsaid: str = PENDING,
    keeps_refused: bool = True,
) -> dict[str, Outcome]:
    """Say the pieces of a batch one after another, and return what became of all rows.

    Once a piece was not taken or its answer is lost, the pieces after it wait; of pieces of one row three in a row have
    to be lost for that. Raises NotTaken where the first of them was not taken. A piece of one row that is refused is
    tried again the next time (with ``keeps_refused``, else Refused is raised): it may be a removal, which must not be
    given up. ``unsaid`` is the status of what was not taken here: unknown where another call has said something of the
    same rows before.
    """
    outcomes: dict[str, Outcome] = {}
    stopped: str | None = None
    lost = 0
    for piece in pieces:
        keys = [row.key for row in piece]
        if stopped is not None:
            outcomes |= dict.fromkeys(keys, Outcome(unsaid, stopped))
            continue
        try:
            outcomes |= say(piece)
            lost = 0
        except NotTaken as error:
            if not outcomes and unsaid == PENDING:
                raise
            stopped = error.code
            outcomes |= dict.fromkeys(keys, Outcome(unsaid, stopped))
        except LostAnswer as error:
            outcomes |= dict.fromkeys(keys, Outcome(UNKNOWN, error.code))
            # one row that never gets an answer does not keep the others back
            lost += 1
            stopped = None if len(piece) == 1 and lost < _MOST_LOST else error.code
        except Refused as error:
            if len(piece) > 1 or not keeps_refused:
                raise
            outcomes |= {key: rejected(error.code, is_permanent=False) for key in keys}
    return outcomes


def in_pieces(
    rows: Sequence[Row], most: int, say: Callable[[Sequence[Row]], Mapping[str, Outcome]]
) -> dict[str, Outcome]:
    """Say rows by so many a call, as `piecewise` does; a refusal is raised, whatever the size of its piece."""
    pieces = (rows[start : start + most] for start in range(0, len(rows), most))
    return piecewise(pieces, say, keeps_refused=False)
