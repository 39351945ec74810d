// What an error of gRPC says: its code, the contract's reason, the fields that broke a rule.
import { ConnectError } from "@connectrpc/connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { BadRequestSchema, ErrorInfoSchema } from "../../clients/ts/gen/google/rpc/error_details_pb.js";
import type { Refusal } from "./trial.js";

/** Of whatever Connect threw. */
export function refusalOf(thrown: unknown): Refusal {
  const error = ConnectError.from(thrown);
  const broken = error.findDetails(BadRequestSchema).flatMap((details) => details.fieldViolations);
  return {
    code: error.code,
    reason: error.findDetails(ErrorInfoSchema)[0]?.reason ?? "",
    fields: broken.map(({ field }) => field),
  };
}

/** Of the trailers: `grpc-status`, and `grpc-status-details-bin` in base64 if there are details. */
export function refusalIn(code: number, details?: string): Refusal {
  const trailers = new Headers({ "grpc-status": String(code) });
  if (details !== undefined) trailers.set("grpc-status-details-bin", details);
  return refusalOf(findTrailerError(trailers));
}
