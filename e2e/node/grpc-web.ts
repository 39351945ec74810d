// Google's grpc-web, which lives in browsers: binary, and base64 text for proxies that cannot carry bytes.
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import * as grpcWeb from "grpc-web";
import { refusalIn } from "./status.js";
import type { Client, Method, Options } from "./trial.js";

/** A trial's client. Text is the only form in which this library can stream. */
export function grpcWebClient(gateway: string, format: "binary" | "text"): Client {
  const client = new grpcWeb.GrpcWebClientBase({ format });
  return {
    compresses: false,
    streams: format === "text",
    unary(method, request, options) {
      const [path, description] = wire(gateway, method, grpcWeb.MethodType.UNARY);
      return client.unaryCall(path, request, sent(options), description) as never;
    },
    stream(method, request, options) {
      const [path, description] = wire(gateway, method, grpcWeb.MethodType.SERVER_STREAMING);
      return read(client.serverStreaming(path, request, sent(options), description), options.signal) as never;
    },
    refusal(thrown) {
      const { code, metadata } = thrown as grpcWeb.RpcError;
      return refusalIn(code, metadata?.["grpc-status-details-bin"]);
    },
  };
}

function wire(gateway: string, method: Method<any, any>, type: string): [string, grpcWeb.MethodDescriptor<any, any>] {
  const path = `${gateway}/${method.parent.typeName}/${method.name}`;
  const write = (message: any) => toBinary(method.input, message);
  const read = (bytes: Uint8Array) => fromBinary(method.output, bytes);
  // The message classes of google-protobuf are only asked for by interceptors; there are none here.
  return [path, new grpcWeb.MethodDescriptor(path, type, Object as never, Object as never, write, read)];
}

/** The library reads the deadline from the metadata, as a moment in time. */
function sent({ metadata, timeoutMs }: Options): grpcWeb.Metadata {
  const all: grpcWeb.Metadata = { ...metadata };
  if (timeoutMs !== undefined) all.deadline = String(Date.now() + timeoutMs);
  return all;
}

/** A stream of events as something to iterate over. */
async function* read(stream: grpcWeb.ClientReadableStream<unknown>, signal?: AbortSignal): AsyncIterable<unknown> {
  const arrived: unknown[] = [];
  let ended: { error?: unknown } | undefined;
  let wake = () => {};
  const note = (change: () => void) => () => (change(), wake());
  stream.on("data", (message) => note(() => arrived.push(message))());
  stream.on("error", (error) => note(() => (ended ??= { error }))());
  stream.on("end", note(() => (ended ??= {})));
  // Cancelling is silent here: the library tells nobody, so the caller is told what it has done.
  const givenUp = new grpcWeb.RpcError(grpcWeb.StatusCode.CANCELLED, "given up", {});
  signal?.addEventListener("abort", note(() => (stream.cancel(), (ended ??= { error: givenUp }))));
  while (arrived.length > 0 || !ended) {
    if (arrived.length > 0) yield arrived.shift();
    else await new Promise<void>((resolve) => (wake = resolve));
  }
  if (ended.error) throw ended.error;
}
