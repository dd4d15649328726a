"""How a run asks people: a campaign of the run, a batch for each round, and the wait."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rlhf_core.annotators import Deadline
from rlhf_core.answers import Answers
from rlhf_core.errors import AnswersPendingError, RunError
from rlhf_core.labelling.exchange import answers_of
from rlhf_core.labelling.moment import Moment
from rlhf_core.labelling.store.records import Batch, BatchProgress, Campaign, Gold
from rlhf_core.labelling.store.settings import CampaignSettings
from rlhf_core.questions import Request
from rlhf_core.store import Store

if TYPE_CHECKING:
    from rlhf_core.labelling.store import LabelStore

HOUR = 3600.0


class CampaignPeople:
    """The people of a run's campaign, for one of its rounds (`rlhf_core.annotators.People`)."""

    def __init__(
        self,
        labels: "LabelStore",
        artifacts: Store,
        run_id: str,
        name: str,
        experiment: str,
        moment: Moment,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Nobody is asked yet.

        Args:
            labels: where questions and answers are kept.
            artifacts: the run's store, from which clips are drawn.
            run_id: names the campaign.
            name: what people read where the annotator has no title.
            experiment: of the run, as YAML.
            moment: the round.
            clock: Unix time, in seconds.
        """
        self._labels, self._artifacts, self._run_id = labels, artifacts, run_id
        self._name, self._experiment, self._moment = name, experiment, moment
        self._clock = clock

    def answers(
        self,
        title: str,
        settings: CampaignSettings,
        request: Request,
        gold: Sequence[Gold],
        deadline: Deadline | None,
    ) -> Answers:
        """Publish the questions, unless that was done, and take the answers once they are there.

        Raises:
            AnswersPendingError: there are not enough answers yet.
            RunError: the deadline is over and the run is to fail, or the campaign was closed
                before anybody answered.
        """
        labels, moment = self._labels, self._moment
        campaign = labels.open_campaign(
            self._run_id, title or self._name, settings, self._experiment
        )
        if self._is_over(campaign):
            return Answers({})
        ref = self._artifacts.put(request)
        key = f"{self._run_id}/{moment.round:04d}-people-{moment.part}"
        self._artifacts.remember(key, {"refs": {"request": ref}})  # So that cleaning keeps it.
        until = None if deadline is None else self._clock() + HOUR * deadline.hours
        batch = labels.publish(
            campaign, moment.round, moment.part, request, self._artifacts.root, ref, gold, until
        )
        progress = labels.progress(batch)
        if not progress.done:
            self._wait(campaign, batch, progress, deadline)
        return answers_of(request, labels.collect(batch))

    def _is_over(self, campaign: Campaign) -> bool:
        """Whether the owner has closed the campaign in an earlier round: nobody is asked more."""
        moment = self._moment
        batches = self._labels.batches(campaign.id)
        published = any((one.round, one.part) == (moment.round, moment.part) for one in batches)
        return campaign.status == "closed" and bool(batches) and not published

    def _wait(
        self, campaign: Campaign, batch: Batch, progress: BatchProgress, deadline: Deadline | None
    ) -> None:
        """Return where the run goes on with the answers there are."""
        where = f"round {self._moment.round + 1}"
        state = f"{progress.complete} of {progress.questions} questions of {where} are answered"
        if progress.closed:
            if progress.substantive or self._moment.round:
                return
            raise RunError(
                f"the campaign was closed before anybody answered in {where}; open it again (rlhf "
                "label open) and resume the run"
            )
        over = progress.deadline is not None and self._clock() >= progress.deadline
        if deadline is None or not over:
            raise AnswersPendingError(state)
        if deadline.then == "fail":
            raise RunError(
                f"the deadline of {deadline.hours:g} hours is over: {state}; to go on, extend it "
                f"(rlhf label extend) and resume the run"
            )
        if deadline.then == "extend" or not progress.substantive:
            self._labels.extend(campaign.id, deadline.hours, actor="run")
            raise AnswersPendingError(f"{state}; the deadline was moved")
