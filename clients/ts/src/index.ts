// What a browser needs to call Caremesh: a grpc-web transport that signs each call, and the reason of an
// error as the contract names it. The calls themselves are generated into gen/ by `make clients`.
import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { BadRequestSchema, ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.js";

/** Where the gateway is, and how to sign a call. */
export interface CaremeshOptions {
  /** The gateway's address, `https://localhost:8443`. */
  baseUrl: string;
  /** Gives the access token of the person who is signed in; nothing for calls that need none. */
  accessToken?: () => string | undefined;
  /** For how long a call may take, in milliseconds, when the call itself says nothing. The contract's own
   * deadline of a method holds beside it. */
  defaultTimeoutMs?: number;
}

/** Makes the transport for `createClient`: grpc-web in binary, which is what the gateway and any proxy
 * on the way can carry. */
export function createCaremeshTransport(options: CaremeshOptions): Transport {
  return createGrpcWebTransport({
    baseUrl: options.baseUrl,
    useBinaryFormat: true,
    defaultTimeoutMs: options.defaultTimeoutMs,
    interceptors: [sign(options.accessToken)],
  });
}

/** What an error means to a program. */
export interface Refusal {
  /** The gRPC code. */
  code: Code;
  /** The reason, as docs/errors.md lists it; empty when the error did not come from Caremesh. */
  reason: string;
  /** The fields that broke a rule of the contract, by path. */
  fields: { field: string; description: string }[];
}

/** Reads what the server said out of whatever was thrown. */
export function refusalOf(thrown: unknown): Refusal {
  const error = ConnectError.from(thrown);
  const [info] = error.findDetails(ErrorInfoSchema);
  const fields = error.findDetails(BadRequestSchema).flatMap((details) => details.fieldViolations);
  return {
    code: error.code,
    reason: info?.reason ?? "",
    fields: fields.map(({ field, description }) => ({ field, description })),
  };
}

function sign(accessToken: CaremeshOptions["accessToken"]): Interceptor {
  return (next) => (request) => {
    const token = accessToken?.();
    if (token !== undefined) {
      request.header.set("authorization", `Bearer ${token}`);
    }
    return next(request);
  };
}
