// What every independent client is tried with, the same for all of them: a call, a signed call, a stream,
// an error with details, a deadline, a cancellation, big metadata, compression. An adapter per library
// says how that library does it; the Rust test says what must come out.
import { type DescMessage, type DescMethod, type MessageInitShape, type MessageShape, create } from "@bufbuild/protobuf";
import { EligibilityService } from "../../clients/ts/gen/caremesh/policy/v1/eligibility_pb.js";
import { PlanService } from "../../clients/ts/gen/caremesh/policy/v1/plan_pb.js";
import { PolicyService } from "../../clients/ts/gen/caremesh/policy/v1/policy_pb.js";
import { watch } from "./health.js";

/** What a call may say besides its message. */
export interface Options {
  metadata?: Record<string, string>;
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Compress the request with gzip. */
  compress?: boolean;
}

/** What a library saw of a refusal. */
export interface Refusal {
  code: number;
  reason: string;
  fields: string[];
}

/** A method of one input and one output. */
export type Method<I extends DescMessage, O extends DescMessage> = DescMethod & { input: I; output: O };

/** One client library, as the trial uses it. */
export interface Client {
  /** Whether the library can compress at all. */
  compresses: boolean;
  /** Whether the library gives a stream's messages as they come. */
  streams: boolean;
  unary<I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    request: MessageShape<I>,
    options: Options,
  ): Promise<MessageShape<O>>;
  stream<I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    request: MessageShape<I>,
    options: Options,
  ): AsyncIterable<MessageShape<O>>;
  refusal(thrown: unknown): Refusal;
}

/** How long anything may take that should simply work. */
const PATIENCE_MS = 20_000;
/** Well below what one call's headers may hold at the gateway, and well above what gRPC itself sends. */
const BIG = "m".repeat(12_000);
/** Above it. */
const TOO_BIG = "m".repeat(60_000);

/** Tries everything. `token` is an access token of a policyholder. */
export async function trial(client: Client, token: string): Promise<Record<string, unknown>> {
  const signed = { authorization: `Bearer ${token}` };
  const unary = <I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    request: MessageInitShape<I>,
    options: Options = {},
  ) => client.unary(method, create(method.input, request), { timeoutMs: PATIENCE_MS, ...options });
  const plans = async (options?: Options) =>
    (await unary(PlanService.method.listPlans, { jurisdictionCode: "NG" }, options)).plans.length;
  const refused = async (call: Promise<unknown>) =>
    call.then(
      () => ({ code: 0 }),
      (thrown) => client.refusal(thrown),
    );
  const needed = async <T>(step: string, call: Promise<T>) =>
    call.catch((thrown) => {
      throw new Error(`${step}: ${JSON.stringify(client.refusal(thrown))} ${(thrown as Error).message}`);
    });
  const health = (options: Options) => client.stream(watch, create(watch.input, {}), options);
  const policies = unary(PolicyService.method.listPolicies, {}, { metadata: signed });
  const cover = { memberId: "not-a-member" };

  return {
    unary: await needed("unary", plans()),
    signed: (await needed("signed", policies)).policies.length,
    stream: client.streams ? await needed("stream", firstOf(health({ timeoutMs: PATIENCE_MS }))) : null,
    details: await refused(unary(EligibilityService.method.getCover, cover, { metadata: signed })),
    deadline: await refused(client.streams ? lastOf(health({ timeoutMs: 300 })) : plans({ timeoutMs: 1 })),
    cancelled: client.streams ? await cancelled(client, health) : null,
    bigMetadata: await needed("bigMetadata", plans({ metadata: { "x-correlation-id": BIG } })),
    tooBigMetadata: await refused(plans({ metadata: { "x-correlation-id": TOO_BIG } })),
    compressed: client.compresses ? await needed("compressed", plans({ compress: true })) : null,
    afterwards: await needed("afterwards", plans()),
  };
}

/** The status that a stream begins with. */
async function firstOf(stream: AsyncIterable<{ status: number }>): Promise<number> {
  for await (const { status } of stream) return status;
  throw new Error("the stream ended without a message");
}

/** Reads a stream to its end. */
async function lastOf(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

/** Gives a stream up after its first message; gives how the client saw it end. */
async function cancelled(client: Client, open: (options: Options) => AsyncIterable<unknown>): Promise<Refusal> {
  const abort = new AbortController();
  try {
    for await (const _ of open({ timeoutMs: PATIENCE_MS, signal: abort.signal })) abort.abort();
  } catch (thrown) {
    return client.refusal(thrown);
  }
  throw new Error("a stream that was given up ended as if nothing had happened");
}
