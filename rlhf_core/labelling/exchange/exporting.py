"""The labels of a campaign as label batches and files, as `rlhf labels import` reads them."""

from collections.abc import Callable
from pathlib import Path

from rlhf_core.errors import ConfigurationError
from rlhf_core.judgements import Judgements
from rlhf_core.label_sets import files
from rlhf_core.label_sets.batch import LabelBatch
from rlhf_core.label_sets.lines import LINED
from rlhf_core.labelling.exchange.answering import stored_request
from rlhf_core.labelling.exchange.judgements import by_form, judged
from rlhf_core.labelling.store import Batch, CountedAnswer, LabelStore
from rlhf_core.labels import Evidence
from rlhf_core.questions import Request


def labels_of(
    store: LabelStore, campaign_id: int, load: Callable[[Batch], Request] = stored_request
) -> list[LabelBatch]:
    """The counted answers of a campaign: a batch for each collection and each batch it took from.

    Batches that a round has collected stay as they are, so that a label set does not take them in
    twice. Those that no round has collected have the time of their newest answer. Clicks and
    demonstrations have no lines and are left out.

    Args:
        store: the label store.
        campaign_id: the campaign.
        load: reads the request of a batch.
    """
    key = store.campaign(campaign_id).key
    requests: dict[int, Request] = {}
    made = []
    for group in store.counted_answers(campaign_id):
        batches: dict[int, list[CountedAnswer]] = {}
        for one in group.answers:
            batches.setdefault(one.batch.id, []).append(one)
        for number, rows in sorted(batches.items()):
            batch = rows[0].batch
            if number not in requests:
                requests[number] = load(batch)
            evidence = _evidence(requests[number], rows)
            if evidence is not None:
                newest = max(one.received_at for one in rows)
                at = newest if group.collected_at is None else group.collected_at
                part = f", part {batch.part}" if batch.part else ""
                made.append(LabelBatch(evidence, f"run {key}, round {batch.round}{part}", at))
    return made


def export_labels(store: LabelStore, campaign_id: int, path: Path) -> int:
    """Write the labels of a campaign to a file that ends in .jsonl or .parquet.

    Returns:
        The number of labels.

    Raises:
        ConfigurationError: there is no label that has a line, or the ending is not known.
        StoreError: a request cannot be read, or the file cannot be written.
    """
    batches = labels_of(store, campaign_id)
    if not batches:
        raise ConfigurationError(
            f"campaign {campaign_id}: expected counted comparisons, rankings or ratings, actual: "
            "none so far"
        )
    return files.write(path, batches)


def _evidence(request: Request, rows: list[CountedAnswer]) -> Evidence | None:
    judgements: dict[str, Judgements] = {}
    for form, some in by_form(rows).items():
        made = judged(form, request.queries[form], some)
        if isinstance(made, LINED):
            judgements[form] = made
    if not judgements:
        return None
    queries = {form: request.queries[form] for form in judgements}
    return Evidence(request.segments, queries, judgements)
