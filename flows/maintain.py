"""What has to be put right now and then: dead runs, and batches that did not come."""

from prefect import flow

from flows.moment import house as open_house
from flows.moment import moment
from flows.recovery import mark_dead_flow_runs, sign_of_life
from flows.retrain import retrain
from retrim.ops.alerts import alert
from retrim.ops.ingest import overdue
from retrim.ops.recover import recover


@flow(name="maintain")
def maintain(now: str | None = None) -> list[str]:
    """Marks dead runs crashed and finishes them, reports an overdue batch; gives the runs it finished."""
    house, at = open_house(), moment(now)
    with sign_of_life(house):
        mark_dead_flow_runs(house)
        finished = []
        for run in recover(house, now=at):
            retrain(run.decision, at.isoformat())
            finished.append(run.id)
        late = overdue(workspace=house.workspace, data=house.params.data, now=at)
        if late is not None:
            alert(house, "batch overdue", f"a batch was due on {late.due.isoformat()} and has not come", now=at)
        return finished
