"""Pictures of what a fitted classifier does; matplotlib is needed for drawing only."""

from skfau.inspection._attention import AttentionMapDisplay
from skfau.inspection._comparison_display import ComparisonDisplay
from skfau.inspection._relations import AURelationsDisplay
from skfau.inspection._score_display import AUScoreDisplay
from skfau.inspection._timeline import AUTimelineDisplay

__all__ = [
    "AURelationsDisplay",
    "AUScoreDisplay",
    "AUTimelineDisplay",
    "AttentionMapDisplay",
    "ComparisonDisplay",
]
