"""Three brokers under load: leaders killed, one lost for good, a second one gone and back. Nothing acknowledged is lost or doubled."""

import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import psycopg
import pytest
from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient

from deploy.doctor.context import Context
from deploy.doctor.examination import examine
from deploy.lives import Life
from deploy.parts.identity import outside_folder
from deploy.parts.ports import is_free, pick_free
from deploy.stack import running_stack
from events.envelope import FACTS
from events.settings import BROKER_PORTS_APART, Settings
from tests import consumed
from tests.faults.acknowledged_load import Load, Told
from tests.journeys.stacks import entries, held_down, killed, wait_settled
from tests.waiting import until

BROKERS = ("kafka-1", "kafka-2", "kafka-3")
PARTITIONS = 12
BOUND_S = 6.0
PATIENCE_S = 5.0
HEAL_LIMIT_S = 60.0
ANSWER_S = 10.0

pytestmark = [pytest.mark.journey, pytest.mark.parts, pytest.mark.timeout(600)]

Loads = tuple[Load, Load]


class Form(NamedTuple):
    """How long the story is. The short one shares two cores with whatever else runs: there it says only that all comes back."""

    kills: int
    bound_s: float
    options: tuple[str, ...]


SHORT, LONG = Form(2, 2.5 * BOUND_S, ("--parts-only",)), Form(5, BOUND_S, ())


class Story(NamedTuple):
    """What happened, and how long after each blow every partition acknowledged again, seconds."""

    form: Form
    patient: Load  # waits for ever, as the relay does
    impatient: Load  # waits five seconds, as the intake does
    after_kills_s: list[float]
    after_loss_s: float
    taken_with_two_gone: int
    not_taken_with_two_gone: int
    after_return_s: float
    seen: Counter[bytes]  # by event id: how often it stands on the log
    outcomes: Counter[bytes]  # by event id of a cause: how many outcomes it has, but for those of repeats
    hazards: tuple[set[str], set[str]]  # what the doctor found before the first blow, and with one broker lost

    def told(self, outcome: str) -> list[Told]:
        """Return what both loads were told with that outcome."""
        return [*self.patient.told(outcome), *self.impatient.told(outcome)]


@contextmanager
def three_brokers(*options: str) -> Iterator[Settings]:
    """A stack on three brokers under the supervisor, in a temporary home; gone afterwards, even if pytest is killed."""
    home = Path(tempfile.mkdtemp(prefix="hotline-three-"))
    leash = subprocess.Popen((sys.executable, "-m", "deploy.parts.leash", str(home)), stdin=subprocess.PIPE, start_new_session=True)
    port = until(_ports)
    settings = Settings(home=home, brokers=3, kafka_port=port, postgres_port=port + 2, intake_port=port + 3, api_port=port + 4)
    try:
        with running_stack(settings, *options):
            yield settings
    finally:
        leash.communicate(timeout=HEAL_LIMIT_S)
        for folder in (home, outside_folder(home)):
            shutil.rmtree(folder, ignore_errors=True)


def _ports() -> int:
    port = pick_free(5)
    others = (port + BROKER_PORTS_APART * place + step for place in (1, 2) for step in (0, 1))
    return port if all(map(is_free, others)) else 0


@pytest.fixture(scope="module")
def story(pytestconfig: pytest.Config) -> Iterator[Story]:
    form = SHORT if pytestconfig.getoption("--rounds") == 1 else LONG
    with three_brokers(*form.options) as settings:
        loads = Load(settings.kafka_access, patience_s=0.0), Load(settings.kafka_access, patience_s=PATIENCE_S)
        try:
            _acknowledges_again(loads, 0.0)
            sound = _hazards(settings)
            after_kills_s = [_after_a_killed_leader(settings, loads) for _ in range(form.kills)]
            lost = _leader(settings)
            _lose_for_good(settings, lost)
            after_loss_s = _acknowledges_again(loads, monotonic())
            one_lost, second = _hazards(settings), _leader(settings)
            before = entries(settings)[second].life
            with held_down(settings, second):
                gone_at_s = monotonic()
                until(lambda: len(loads[1].told(since_s=gone_at_s)) >= PARTITIONS, HEAL_LIMIT_S)
                told = [one for load in loads for one in load.told(since_s=gone_at_s)]
            until(lambda: _is_back(settings, second, before), HEAL_LIMIT_S)
            after_return_s = _acknowledges_again(loads, monotonic())
        finally:
            for load in loads:
                load.stop()
        seen = Counter(record.fields["event_id"] for record in consumed.told(settings.kafka_address) if record.topic == FACTS)
        taken = sum(one.outcome == "ok" for one in told)
        not_taken = len(told) - taken
        outcomes = Counter() if form.options else _outcomes(settings)
        yield Story(form, *loads, after_kills_s, after_loss_s, taken, not_taken, after_return_s, seen, outcomes, (sound, one_lost))


def _after_a_killed_leader(settings: Settings, loads: Loads) -> float:
    """Kill the leader of a partition; return how soon all partitions acknowledge again. Waits until all three keep all again."""
    killed(settings, _leader(settings))
    healed_s = _acknowledges_again(loads, monotonic())
    until(lambda: _copies(settings) == {len(BROKERS)}, HEAL_LIMIT_S)
    return healed_s


def _acknowledges_again(loads: Loads, since_s: float) -> float:
    """Wait until each partition has acknowledged to both a record submitted since then; return after how long the last one did, seconds."""
    until(lambda: all(len(load.acknowledged_s(since_s)) == PARTITIONS for load in loads), HEAL_LIMIT_S)
    return max(seconds for load in loads for seconds in load.acknowledged_s(since_s).values())


def _lose_for_good(settings: Settings, name: str) -> None:
    """Kill a broker and take its disk: the supervisor goes on trying in vain."""
    with held_down(settings, name):
        shutil.rmtree(settings.folder / name)
        (settings.folder / name).touch()


def _is_back(settings: Settings, name: str, before: Life | None) -> bool:
    entry = entries(settings)[name]
    return entry.life != before and entry.ready


def _topic(settings: Settings) -> list[tuple[int, int]]:
    """Return for each partition its leader and how many brokers keep up with it."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_address, "log_level": 0})
    described = admin.describe_topics(TopicCollection([FACTS]), request_timeout=ANSWER_S)[FACTS].result(ANSWER_S)
    return [(p.leader.id if p.leader else 0, len(p.isr)) for p in described.partitions]


def _hazards(settings: Settings) -> set[str]:
    result = examine(Context(settings))
    return {finding.code for finding in result.findings} | set(result.unreachable)


def _outcomes(settings: Settings) -> Counter[bytes]:
    wait_settled(settings)
    with psycopg.connect(settings.database) as db:
        return Counter(dict(db.execute("SELECT cause_id, count(*) FROM outcomes WHERE result <> 'duplicate' GROUP BY cause_id").fetchall()))


def _leader(settings: Settings) -> str:
    (leader, _), *_ = until(lambda: [p for p in _topic(settings) if p[0]], HEAL_LIMIT_S)
    return f"kafka-{leader}"


def _copies(settings: Settings) -> set[int]:
    return {in_sync for _, in_sync in _topic(settings)}


def test_after_each_killed_leader_all_is_acknowledged_again_within_six_seconds(story: Story) -> None:
    assert [seconds for seconds in story.after_kills_s if seconds > story.form.bound_s] == []
    assert len(story.after_kills_s) == story.form.kills


def test_with_one_broker_lost_for_good_the_service_goes_on_within_six_seconds(story: Story) -> None:
    assert story.after_loss_s <= story.form.bound_s


def test_with_two_brokers_gone_nothing_is_taken(story: Story) -> None:
    assert story.taken_with_two_gone == 0
    assert story.not_taken_with_two_gone > 0


def test_when_the_second_is_back_all_is_acknowledged_again_within_six_seconds(story: Story) -> None:
    assert story.after_return_s <= story.form.bound_s


def test_every_acknowledged_record_is_there_and_no_refused_one(story: Story) -> None:
    acknowledged, refused = story.told("ok"), story.told("refused")

    assert len(acknowledged) > 100
    assert [one.event_id for one in acknowledged if not story.seen[one.event_id]] == []
    assert [one.event_id for one in refused if story.seen[one.event_id]] == []


def test_a_publisher_that_never_gave_a_record_up_wrote_each_exactly_once(story: Story) -> None:
    """One that gave some up began a new series of numbers, and what waited behind them may stand there twice: with the same id."""
    doubled = [one.event_id for one in story.patient.told() if story.seen[one.event_id] > 1]

    assert doubled == [] or story.patient.told("unknown")
    assert len(story.patient.told("ok")) > 100


def test_every_acknowledged_fact_has_exactly_one_outcome(story: Story) -> None:
    if story.form is SHORT:
        pytest.skip("the short form has no desk")
    assert {story.outcomes[one.event_id] for one in story.told("ok")} == {1}


def test_doctor_finds_nothing_with_three_brokers_and_names_the_lost_one(story: Story) -> None:
    sound, one_lost = story.hazards

    assert sound == set()
    assert "copies-behind" in one_lost
