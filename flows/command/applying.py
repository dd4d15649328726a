"""What `rlhf schedule apply` changes, in a home or on the server of a work pool."""

from collections.abc import Sequence

from flows.schedules import deployments, watchdog
from flows.schedules.definition import Schedule
from flows.services.connect import check_prefect, external_prefect
from rlhf_core.errors import ConfigurationError


def difference(there: Sequence[Schedule], wanted: Sequence[Schedule]) -> list[str]:
    """What changes, one line each."""
    old = {one.name: one.model_dump(mode="json") for one in there}
    new = {one.name: one.model_dump(mode="json") for one in wanted}
    lines = [f"+ {name}: {one.rhythm}" for name, one in _by_name(wanted) if name not in old]
    lines += [f"- {name}: {one.rhythm}" for name, one in _by_name(there) if name not in new]
    for name in sorted(old.keys() & new.keys()):
        lines += [
            f"~ {name}: {field}: {old[name][field]} -> {new[name][field]}"
            for field in new[name]
            if old[name][field] != new[name][field]
        ]
    return lines


def _by_name(schedules: Sequence[Schedule]) -> list[tuple[str, Schedule]]:
    return sorted((one.name, one) for one in schedules)


def register(wanted: Sequence[Schedule], work_pool: str, really: bool) -> list[str]:
    """Register schedules with a work pool of a server; returns what changes."""
    url = external_prefect()
    if url is None:
        raise ConfigurationError(
            "--work-pool: expected a Prefect server of your own in PREFECT_API_URL, actual: none"
        )
    check_prefect(url)
    from prefect import get_client

    with get_client(sync_client=True) as client:
        deployments.check_pool(client, wanted, work_pool)
        tag = deployments.tag_of_pool(work_pool)
        known = deployments.registered(client, tag)
        changed = [
            one for one in wanted
            if one.name not in known or known[one.name].digest != deployments.digest_of(one)
        ]  # fmt: skip
        gone = sorted(known.keys() - {one.name for one in wanted})
        if really:
            watchdog.watch(client, work_pool)
            for one in changed:
                deployments.register(client, one, tag, work_pool)
            for name in gone:
                client.delete_deployment(known[name].deployment_id)
    lines = [f"{'~' if one.name in known else '+'} {one.name}: {one.rhythm}" for one in changed]
    return [*lines, *(f"- {name}" for name in gone)]
