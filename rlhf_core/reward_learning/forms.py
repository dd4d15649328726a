"""The forms that a question can take."""

from enum import StrEnum


class Form(StrEnum):
    """What an annotator can be asked for."""

    COMPARISON = "comparison"
    """Which of two clips is better?"""
    RANKING = "ranking"
    """Put a group of clips in order."""
    BEST_OF = "best_of"
    """Which of a group is the best?"""
    RATING = "rating"
    """Rate one clip on a scale."""
    SIGNAL = "signal"
    """Rate what happened just before one moment of a clip."""

    def size(self, group: int) -> int:
        """Clips in one question."""
        return {Form.COMPARISON: 2, Form.RANKING: group, Form.BEST_OF: group}.get(self, 1)

    def worth(self, group: int) -> int:
        """Labels that one question counts as: the places that are named."""
        return group - 1 if self is Form.RANKING else 1
