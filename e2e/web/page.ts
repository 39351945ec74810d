// What a web app of the insurer does, with the generated client and nothing else: buy cover, see it,
// price a treatment, spend from it; and what it is told when something is refused.
import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { createCaremeshTransport, refusalOf } from "../../clients/ts/src/index.js";
import { connectClient } from "../node/connect.js";
import { grpcWebClient } from "../node/grpc-web.js";
import { trial } from "../node/trial.js";
import { DateSchema } from "../../clients/ts/gen/caremesh/type/v1/date_pb.js";
import {
  BenefitService,
  EventKind,
  LineKind,
  PostingKind,
} from "../../clients/ts/gen/caremesh/policy/v1/benefit_pb.js";
import { EligibilityService } from "../../clients/ts/gen/caremesh/policy/v1/eligibility_pb.js";
import { PersonService } from "../../clients/ts/gen/caremesh/policy/v1/person_pb.js";
import { PlanService } from "../../clients/ts/gen/caremesh/policy/v1/plan_pb.js";
import { PolicyService } from "../../clients/ts/gen/caremesh/policy/v1/policy_pb.js";

interface Scene {
  gateway: string;
  plan: string;
  benefit: string;
  billed: number;
  today: { year: number; month: number; day: number };
  member: string;
  officer: string;
  finance: string;
  eventId: string;
}

declare global {
  interface Window {
    story: (scene: Scene) => Promise<unknown>;
    refusals: (scene: Scene) => Promise<unknown>;
    trials: (scene: Scene) => Promise<unknown>;
  }
}

function clients(gateway: string, token?: string) {
  const transport = createCaremeshTransport({ baseUrl: gateway, accessToken: () => token, defaultTimeoutMs: 20_000 });
  return {
    plans: createClient(PlanService, transport),
    policies: createClient(PolicyService, transport),
    cover: createClient(EligibilityService, transport),
    benefits: createClient(BenefitService, transport),
    people: createClient(PersonService, transport),
  };
}

window.story = async (scene) => {
  const anyone = clients(scene.gateway);
  const member = clients(scene.gateway, scene.member);
  const officer = clients(scene.gateway, scene.officer);
  const finance = clients(scene.gateway, scene.finance);

  const { plans } = await anyone.plans.listPlans({ jurisdictionCode: "NG" });
  const version = plans.find((plan) => plan.code === scene.plan)?.currentVersion;
  if (!version) throw new Error(`${scene.plan} is not among ${plans.map((plan) => plan.code)}`);

  // The family that the demo data has entered.
  const { policies } = await member.policies.listPolicies({});
  const known = policies[policies.length - 1];
  const { quote } = await member.policies.createQuote({
    requestId: crypto.randomUUID(),
    planVersionId: version.planVersionId,
    sumInsured: version.sumInsuredOptions[0],
    policyholderPersonId: known.policyholderPersonId,
    members: known.members.map(({ personId, relation }) => ({ personId, relation })),
    startDate: create(DateSchema, scene.today),
  });
  const { policy: bought } = await member.policies.purchasePolicy({
    requestId: crypto.randomUUID(),
    quoteId: quote!.quoteId,
  });
  await finance.policies.recordPremiumPayment({
    requestId: crypto.randomUUID(),
    quoteId: quote!.quoteId,
    paymentReference: crypto.randomUUID(),
    amount: quote!.premium!.instalments[0].amount,
    receiveTime: timestampNow(),
  });
  const { policy } = await member.policies.getPolicy({ policyId: bought!.policyId });
  const memberId = policy!.members[0].memberId;

  const left = async () => {
    const { cover } = await member.cover.getCover({ memberId });
    return Object.fromEntries(cover!.balances.map((balance) => [balance.key!.code, Number(balance.available ?? -1)]));
  };
  const before = await left();
  const event = {
    eventId: scene.eventId,
    memberId,
    eventDate: create(DateSchema, scene.today),
  };
  const { price } = await member.benefits.price({
    event: { ...event, kind: EventKind.CONSULTATION, accident: true, provider: { inNetwork: true } },
    lines: [
      {
        sequence: 1,
        benefitCode: scene.benefit,
        kind: LineKind.CONSULTATION,
        billed: { currencyCode: policy!.currencyCode, minorUnits: BigInt(scene.billed) },
        count: 1n,
      },
    ],
  });
  await officer.benefits.post({
    requestId: crypto.randomUUID(),
    source: { service: "svc-claims", resourceId: scene.eventId, revision: 0 },
    event,
    instructions: [{ kind: PostingKind.CAPTURE, legs: price!.legs }],
    expectedVersions: price!.expectedVersions,
  });
  const after = await left();

  return {
    members: policy!.members.length,
    state: policy!.state,
    payable: Number(price!.total!.payableMinor),
    claimed: Number(price!.total!.claimedMinor),
    legs: price!.legs.map((leg) => ({ code: leg.account!.code, amount: Number(leg.amount) })),
    before,
    after,
  };
};

window.refusals = async (scene) => {
  const member = clients(scene.gateway, scene.member);
  const nobody = clients(scene.gateway);
  const refused = async (call: Promise<unknown>) => call.then(() => undefined, refusalOf);
  return {
    brokenField: await refused(member.cover.getCover({ memberId: "not-a-member" })),
    noCredentials: await refused(nobody.policies.listPolicies({})),
    noRole: await refused(
      member.policies.recordPremiumPayment({
        requestId: crypto.randomUUID(),
        quoteId: "quo_00000000000000000000000000",
        paymentReference: "x",
        amount: { currencyCode: "NGN", minorUnits: 1n },
        receiveTime: timestampNow(),
      }),
    ),
    tooLate: await refused(member.policies.listPolicies({}, { timeoutMs: 1 })),
    tooLateAtTheServer: await expiredAtTheServer(scene),
  };
};

// The client gives up by itself when its time is over. This call lets only the server know of the
// deadline, and reads what a browser may read of the answer from another origin.
async function expiredAtTheServer(scene: Scene) {
  const response = await fetch(`${scene.gateway}/caremesh.policy.v1.PolicyService/ListPolicies`, {
    method: "POST",
    headers: {
      "content-type": "application/grpc-web+proto",
      "x-grpc-web": "1",
      "grpc-timeout": "1n",
      authorization: `Bearer ${scene.member}`,
    },
    body: new Uint8Array([0, 0, 0, 0, 0]),
  });
  const trailer = new TextDecoder().decode(await response.arrayBuffer());
  const inBody = /grpc-status:\s*(\d+)/.exec(trailer)?.[1];
  return { http: response.status, grpcStatus: response.headers.get("grpc-status") ?? inBody };
}

window.trials = async (scene) => ({
  "connect-web": await trial(connectClient(createCaremeshTransport({ baseUrl: scene.gateway })), scene.member),
  "grpc-web, binary": await trial(grpcWebClient(scene.gateway, "binary"), scene.member),
  "grpc-web, text": await trial(grpcWebClient(scene.gateway, "text"), scene.member),
});
