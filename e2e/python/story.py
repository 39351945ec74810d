"""What a partner's system does with the generated Python client, natively over TLS: buy cover, see it,
price a treatment, spend from it; and what it is told when something is refused. Prints JSON."""

import json
import pathlib
import sys
import uuid

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status

order = json.loads(sys.argv[1])
sys.path.insert(0, order["client"])

from caremesh.policy.v1 import (  # noqa: E402
    benefit_pb2,
    benefit_pb2_grpc,
    eligibility_pb2,
    eligibility_pb2_grpc,
    plan_pb2,
    plan_pb2_grpc,
    policy_pb2,
    policy_pb2_grpc,
)
from caremesh.type.v1 import date_pb2  # noqa: E402

authority = pathlib.Path(order["authority"]).read_bytes()
channel = grpc.secure_channel(order["gateway"], grpc.ssl_channel_credentials(authority))
plans = plan_pb2_grpc.PlanServiceStub(channel)
policies = policy_pb2_grpc.PolicyServiceStub(channel)
eligibility = eligibility_pb2_grpc.EligibilityServiceStub(channel)
benefits = benefit_pb2_grpc.BenefitServiceStub(channel)
today = date_pb2.Date(**order["today"])


def signed(who):
    """Metadata of a call made by one of the demo people."""
    return [("authorization", "Bearer " + order[who])]


def call(method, request, who, timeout=20):
    """One call with its deadline."""
    return method(request, metadata=signed(who) if who else None, timeout=timeout)


def request_id():
    """A fresh idempotency key."""
    return str(uuid.uuid4())


def available(member_id):
    """What is left, by account code."""
    cover = call(eligibility.GetCover, eligibility_pb2.GetCoverRequest(member_id=member_id), "member").cover
    return {b.key.code: b.available if b.HasField("available") else -1 for b in cover.balances}


def buy():
    """A family buys the plan; gives the active policy."""
    listed = call(plans.ListPlans, plan_pb2.ListPlansRequest(jurisdiction_code="NG"), None).plans
    version = next(plan.current_version for plan in listed if plan.code == order["plan"])
    known = call(policies.ListPolicies, policy_pb2.ListPoliciesRequest(), "member").policies[-1]
    quote = call(
        policies.CreateQuote,
        policy_pb2.CreateQuoteRequest(
            request_id=request_id(),
            plan_version_id=version.plan_version_id,
            sum_insured=version.sum_insured_options[0],
            policyholder_person_id=known.policyholder_person_id,
            members=[
                policy_pb2.ProposedMember(person_id=m.person_id, relation=m.relation) for m in known.members
            ],
            start_date=today,
        ),
        "member",
    ).quote
    purchase = policy_pb2.PurchasePolicyRequest(request_id=request_id(), quote_id=quote.quote_id)
    policy = call(policies.PurchasePolicy, purchase, "member").policy
    received = Timestamp()
    received.GetCurrentTime()
    payment = policy_pb2.RecordPremiumPaymentRequest(
        request_id=request_id(),
        quote_id=quote.quote_id,
        payment_reference=request_id(),
        amount=quote.premium.instalments[0].amount,
        receive_time=received,
    )
    call(policies.RecordPremiumPayment, payment, "finance")
    return call(policies.GetPolicy, policy_pb2.GetPolicyRequest(policy_id=policy.policy_id), "member").policy


def spend(policy):
    """Prices a consultation and captures it; gives what happened to the balances."""
    member_id = policy.members[0].member_id
    before = available(member_id)
    event = benefit_pb2.InsuredEvent(
        event_id=order["eventId"],
        kind=benefit_pb2.EVENT_KIND_CONSULTATION,
        member_id=member_id,
        event_date=today,
        accident=True,
        provider=benefit_pb2.Provider(in_network=True),
    )
    line = benefit_pb2.PriceLine(
        sequence=1,
        benefit_code=order["benefit"],
        kind=benefit_pb2.LINE_KIND_CONSULTATION,
        billed={"currency_code": policy.currency_code, "minor_units": order["billed"]},
        count=1,
    )
    price = call(benefits.Price, benefit_pb2.PriceRequest(event=event, lines=[line]), "member").price
    post = benefit_pb2.PostRequest(
        request_id=request_id(),
        source=benefit_pb2.PostingSource(service="svc-claims", resource_id=order["eventId"]),
        event=benefit_pb2.InsuredEventRef(
            event_id=order["eventId"], member_id=member_id, event_date=today
        ),
        instructions=[benefit_pb2.PostingInstruction(kind=benefit_pb2.POSTING_KIND_CAPTURE, legs=price.legs)],
        expected_versions=price.expected_versions,
    )
    call(benefits.Post, post, "officer")
    return {
        "members": len(policy.members),
        "state": policy.state,
        "payable": price.total.payable_minor,
        "claimed": price.total.claimed_minor,
        "legs": [{"code": leg.account.code, "amount": leg.amount} for leg in price.legs],
        "before": before,
        "after": available(member_id),
    }


def refused(method, request, who, timeout=20):
    """The code, the reason and the broken fields of a call that must be refused."""
    try:
        call(method, request, who, timeout)
    except grpc.RpcError as error:
        status = rpc_status.from_call(error)
        answer = {"code": error.code().value[0], "reason": "", "fields": []}
        for detail in status.details if status else []:
            info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            if detail.Unpack(info):
                answer["reason"] = info.reason
            if detail.Unpack(bad):
                answer["fields"] = [violation.field for violation in bad.field_violations]
        return answer
    return None


print(
    json.dumps(
        {
            "story": spend(buy()),
            "refusals": {
                "brokenField": refused(
                    eligibility.GetCover, eligibility_pb2.GetCoverRequest(member_id="not-a-member"), "member"
                ),
                "noCredentials": refused(policies.ListPolicies, policy_pb2.ListPoliciesRequest(), None),
                "tooLate": refused(
                    policies.ListPolicies, policy_pb2.ListPoliciesRequest(), "member", timeout=0.001
                ),
            },
        }
    )
)
