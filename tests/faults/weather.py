"""Which request meets which fault: drawn from a seed, so that the same seed decides alike."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random

from tests.faults.proxy import Arrives, Fault, Plan, Reply, Request

SQUALL_EVERY, SQUALL_LENGTH = 800, 15  # requests of a stream, on average: a provider fails for a while

_JSON = {"Content-Type": "application/x-amz-json-1.0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Danger:
    """A fault that befalls one in so many requests of its stream, or only of some operations (``of``)."""

    fault: Fault
    one_in: int
    of: frozenset[str] = frozenset()
    change: Callable[[bytes, Random], bytes] | None = None


def aws_error(code: str, status: int = 400) -> Reply:
    """An error as the JSON protocols of DynamoDB and SQS spell it."""
    body = {"__type": f"com.amazonaws.storm#{code}", "message": f"the storm says {code}"}
    return Reply(status=status, headers=_JSON | {"x-amzn-RequestId": "storm"}, body=json.dumps(body).encode())


def s3_error(code: str, status: int) -> Reply:
    """An error as S3 spells it."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>the storm</Message></Error>"
    return Reply(status=status, headers={"Content-Type": "application/xml"}, body=body.encode())


def delayed(body: bytes, random: Random) -> bytes:
    """A batch of messages that become visible late, and in another order."""
    document = json.loads(body)
    for entry in document["Entries"]:
        entry["DelaySeconds"] = random.randint(0, 3)
    random.shuffle(document["Entries"])
    return json.dumps(document).encode()


_SENDS = frozenset({"SendMessageBatch"})
_CHANGES = frozenset({"PutItem", "SendMessageBatch", "ChangeMessageVisibility", "DeleteMessageBatch", "PUT"})
_RESET = Fault(kind="reset", asks=0)
_LOST = Fault(kind="lost answer", arrives=Arrives.NOTHING)
_CUT = Fault(kind="cut body", arrives=Arrives.CUT)
_BUSY = Fault(kind="429 with Retry-After", reply=Reply(status=429, headers={"Retry-After": "1"}))
_DOWN = Fault(kind="503", reply=Reply(status=503))
_BROKEN = Fault(kind="500", reply=Reply(status=500))
_SLOW_DOWN = Fault(kind="503 SlowDown", reply=s3_error("SlowDown", 503))
_THROUGHPUT = Fault(kind="throttled", reply=aws_error("ProvisionedThroughputExceededException"))
_THROTTLED = Fault(kind="throttled", reply=aws_error("ThrottlingException"))
_FAILING = Fault(kind="500", reply=aws_error("InternalServerError", 500))


def dangers(*, hang_seconds: float) -> Mapping[str, Sequence[Danger]]:
    """What may befall the requests of each stream; the first one stands for its squalls."""
    hang = Danger(fault=Fault(kind="hang", wait_seconds=hang_seconds), one_in=800)
    late = Danger(fault=Fault(kind="late and shuffled"), one_in=4, of=_SENDS, change=delayed)
    return {
        "catalogue": [
            Danger(fault=_DOWN, one_in=40),
            Danger(fault=_BUSY, one_in=40),
            Danger(fault=_BROKEN, one_in=40),
            Danger(fault=_RESET, one_in=40),
            Danger(fault=_CUT, one_in=40),
            hang,
        ],
        "scenes": [
            Danger(fault=_DOWN, one_in=100),
            Danger(fault=_BUSY, one_in=100),
            Danger(fault=_BROKEN, one_in=100),
            Danger(fault=_RESET, one_in=100),
            Danger(fault=_CUT, one_in=100),
            hang,
        ],
        "s3": [
            Danger(fault=_SLOW_DOWN, one_in=50),
            Danger(fault=Fault(kind="500", reply=s3_error("InternalError", 500)), one_in=60),
            Danger(fault=_RESET, one_in=60),
            Danger(fault=_CUT, one_in=2000),  # a chunk asks for a thousand outputs
            Danger(fault=_LOST, one_in=50, of=_CHANGES),
        ],
        "dynamodb": [
            Danger(fault=_THROUGHPUT, one_in=80),
            Danger(fault=_THROTTLED, one_in=120),
            Danger(fault=_FAILING, one_in=120),
            Danger(fault=_RESET, one_in=120),
            Danger(fault=_LOST, one_in=25, of=_CHANGES),
        ],
        "sqs": [
            Danger(fault=_THROTTLED, one_in=80),
            Danger(fault=_FAILING, one_in=120),
            Danger(fault=_LOST, one_in=40),
            Danger(fault=Fault(kind="sent twice", asks=2), one_in=5, of=_SENDS),
            late,
        ],
    }


@dataclass
class Weather:
    """Decides for each stream's requests one after the other; ``met`` counts the faults by stream and kind."""

    seed: int
    dangers: Mapping[str, Sequence[Danger]]
    stormy: bool = True
    met: Counter[str] = field(default_factory=Counter)
    _asked: Counter[str] = field(default_factory=Counter)
    _squalls: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def plan(self, stream: str) -> Plan:
        """The plan of a proxy whose requests are one stream."""
        return partial(self.decide, stream)

    def decide(self, stream: str, request: Request) -> Fault | None:
        """What happens to a stream's next request."""
        with self._lock:
            self._asked[stream] += 1
            random = Random(f"{self.seed} {stream} {self._asked[stream]}")
            fault = self._drawn(stream, request, random) if self.stormy else None
            if fault:
                self.met[f"{stream}: {fault.kind}"] += 1
            return fault

    def note(self, what: str) -> None:
        """Count something else that was done to the pipeline."""
        with self._lock:
            self.met[what] += 1

    def _drawn(self, stream: str, request: Request, random: Random) -> Fault | None:
        squall = self._squalls.get(stream, 0)
        if squall or random.random() * SQUALL_EVERY < 1:
            self._squalls[stream] = squall - 1 if squall else SQUALL_LENGTH
            worst = self.dangers[stream][0].fault
            return replace(worst, kind=f"{worst.kind}, squall")
        for danger in self.dangers[stream]:
            drawn = random.random() * danger.one_in < 1
            if drawn and (not danger.of or request.operation in danger.of):
                change = danger.change(request.body, random) if danger.change else None
                return replace(danger.fault, body=change)
        return None


def aws_plan(weather: Weather) -> Plan:
    """The plan of a proxy before a local AWS, whose services are a stream each."""

    def plan(request: Request) -> Fault | None:
        target = request.headers.get("x-amz-target", "")
        stream = "dynamodb" if target.startswith("DynamoDB") else "sqs" if target.startswith("AmazonSQS") else "s3"
        return weather.decide(stream, request)

    return plan
