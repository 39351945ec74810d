"""What every independent client is tried with (e2e/node/trial.ts), done with grpcio and the generated
Python client. Prints JSON."""

import json
import pathlib
import sys

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

order = json.loads(sys.argv[1])
sys.path.insert(0, order["client"])

from caremesh.policy.v1 import (  # noqa: E402
    eligibility_pb2,
    eligibility_pb2_grpc,
    plan_pb2,
    plan_pb2_grpc,
    policy_pb2,
    policy_pb2_grpc,
)

PATIENCE_S = 20
authority = pathlib.Path(order["authority"]).read_bytes()
channel = grpc.secure_channel(f"localhost:{order['port']}", grpc.ssl_channel_credentials(authority))
signed = [("authorization", "Bearer " + order["token"])]
health = health_pb2_grpc.HealthStub(channel)


def plans(metadata=None, compression=None):
    """How many plans there are."""
    request = plan_pb2.ListPlansRequest(jurisdiction_code="NG")
    stub = plan_pb2_grpc.PlanServiceStub(channel)
    return len(stub.ListPlans(request, metadata=metadata, compression=compression, timeout=PATIENCE_S).plans)


def watch(timeout=PATIENCE_S):
    """The gateway's health, now and whenever it changes."""
    return health.Watch(health_pb2.HealthCheckRequest(), timeout=timeout)


def cover():
    """A call whose request breaks a rule of the contract."""
    request = eligibility_pb2.GetCoverRequest(member_id="not-a-member")
    stub = eligibility_pb2_grpc.EligibilityServiceStub(channel)
    return stub.GetCover(request, metadata=signed, timeout=PATIENCE_S)


def refused(call):
    """The code, the reason and the broken fields."""
    try:
        call()
    except grpc.RpcError as error:
        answer = {"code": error.code().value[0], "reason": "", "fields": []}
        status = rpc_status.from_call(error)
        for detail in status.details if status else []:
            info, broken = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            if detail.Unpack(info):
                answer["reason"] = info.reason
            if detail.Unpack(broken):
                answer["fields"] += [violation.field for violation in broken.field_violations]
        return answer
    return {"code": 0}


def given_up():
    """A stream that is cancelled after its first message."""
    stream = watch()
    next(stream)
    stream.cancel()
    for _ in stream:
        pass


policies = policy_pb2_grpc.PolicyServiceStub(channel)
print(
    json.dumps(
        {
            "unary": plans(),
            "signed": len(
                policies.ListPolicies(
                    policy_pb2.ListPoliciesRequest(), metadata=signed, timeout=PATIENCE_S
                ).policies
            ),
            "stream": next(watch()).status,
            "details": refused(cover),
            "deadline": refused(lambda: list(watch(timeout=0.3))),
            "cancelled": refused(given_up),
            "bigMetadata": plans(metadata=[("x-correlation-id", "m" * 12_000)]),
            "tooBigMetadata": refused(lambda: plans(metadata=[("x-correlation-id", "m" * 60_000)])),
            "compressed": plans(compression=grpc.Compression.Gzip),
            "afterwards": plans(),
        }
    )
)
