"""How well people answer, and how far a campaign is: what the owner's page shows.

`agreement`, `workers` and `pace` are functions of answers alone; `overview` reads a store.
"""

from rlhf_core.labelling.quality.agreement import Agreement, agreement, cohen_kappa, fleiss_kappa
from rlhf_core.labelling.quality.overview import (
    CampaignOverview,
    CampaignSummary,
    campaign_overview,
    campaign_summaries,
)
from rlhf_core.labelling.quality.pace import answers_an_hour, answers_by_hour, estimated_end
from rlhf_core.labelling.quality.workers import AnnotatorQuality, position_bias, quality_of

__all__ = [
    "Agreement", "AnnotatorQuality", "CampaignOverview", "CampaignSummary", "agreement",
    "answers_an_hour", "answers_by_hour", "campaign_overview", "campaign_summaries", "cohen_kappa",
    "estimated_end", "fleiss_kappa", "position_bias", "quality_of",
]  # fmt: skip
