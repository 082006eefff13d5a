"""What the codes of a world stand for, where a plan can add to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from data.simulator.parameters import Parameters


@dataclass
class Names:
    """Ids of campaigns and names of variants by their codes, and the number that user ids begin at."""

    user_base: int
    campaigns: list[str] = field(default_factory=list)
    variants: list[str] = field(default_factory=list)

    @staticmethod
    def of(parameters: Parameters) -> Names:
        """The names that a world begins with."""
        names = Names(10 ** len(str(parameters.users)))
        for campaign in parameters.campaigns:
            names.campaign(campaign.campaign_id)
            for variant in campaign.variants:
                names.variant(variant.name)
        return names

    def campaign(self, campaign_id: str) -> int:
        """The code of a campaign; one that is not known yet gets the next."""
        return _code(self.campaigns, campaign_id)

    def variant(self, name: str) -> int:
        """The code of a variant; one that is not known yet gets the next."""
        return _code(self.variants, name)

    def variant_codes(self, names: Iterable[str]) -> dict[str, int]:
        """The codes of several variants."""
        return {name: self.variant(name) for name in names}


def _code(known: list[str], name: str) -> int:
    if name not in known:
        known.append(name)
    return known.index(name)
