// The generated client is whole: it builds a request, keeps the contract's rules, signs a call, and reads
// the reason of an error. What it says to a real gateway is tested in e2e/.
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, getOption, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { ListPlansRequestSchema, PlanService } from "../gen/caremesh/policy/v1/plan_pb.js";
import { Exposure, method } from "../gen/caremesh/options/v1/options_pb.js";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.js";
import { createCaremeshTransport, refusalOf } from "../src/index.js";

test("a request survives the wire", () => {
  const request = create(ListPlansRequestSchema, { jurisdictionCode: "NG", page: { pageSize: 10 } });
  const again = fromBinary(ListPlansRequestSchema, toBinary(ListPlansRequestSchema, request));
  assert.equal(again.jurisdictionCode, "NG");
  assert.equal(again.page?.pageSize, 10);
});

test("the policy of a method can be read in the browser", () => {
  const policy = getOption(PlanService.method.listPlans, method);
  assert.equal(policy.exposure, Exposure.EDGE);
});

test("a call is grpc-web, framed, signed and carries its deadline", async () => {
  const sent: { url: string; init: RequestInit }[] = [];
  const before = globalThis.fetch;
  globalThis.fetch = async (url, init = {}) => {
    sent.push({ url: String(url), init });
    throw new TypeError("nobody listens");
  };
  try {
    const transport = createCaremeshTransport({ baseUrl: "https://localhost:1", accessToken: () => "t" });
    const client = createClient(PlanService, transport);
    await assert.rejects(client.listPlans({ jurisdictionCode: "IN" }, { timeoutMs: 5000 }));
  } finally {
    globalThis.fetch = before;
  }
  const [{ url, init }] = sent;
  const headers = new Headers(init.headers);
  assert.equal(url, "https://localhost:1/caremesh.policy.v1.PlanService/ListPlans");
  assert.equal(headers.get("content-type"), "application/grpc-web+proto");
  assert.equal(headers.get("authorization"), "Bearer t");
  assert.match(headers.get("grpc-timeout") ?? "", /^\d+m$/);
});

test("the reason of an error is read from its details", () => {
  const details = [{ desc: ErrorInfoSchema, value: { reason: "QUOTE_EXPIRED", domain: "policy.caremesh" } }];
  const error = new ConnectError("The quote has expired.", Code.FailedPrecondition, undefined, details);
  assert.deepEqual(refusalOf(error), { code: Code.FailedPrecondition, reason: "QUOTE_EXPIRED", fields: [] });
  assert.equal(refusalOf(new Error("no network")).reason, "");
});
