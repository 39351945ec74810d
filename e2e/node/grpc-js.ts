// grpc-js: gRPC in pure JavaScript, natively over TLS.
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { refusalIn } from "./status.js";
import type { Client, Method, Options } from "./trial.js";

/** A trial's client for a gateway whose certificate that authority has signed. */
export function grpcJsClient(address: string, authority: Buffer): Client & { close(): void } {
  const credentials = grpc.credentials.createSsl(authority);
  const plain = new grpc.Client(address, credentials);
  const compressing = new grpc.Client(address, credentials, {
    "grpc.default_compression_algorithm": grpc.compressionAlgorithms.gzip,
  });
  return {
    compresses: true,
    streams: true,
    unary(method, request, options) {
      const client = options.compress ? compressing : plain;
      const [path, write, read] = wire(method);
      return new Promise((resolve, reject) => {
        const call = client.makeUnaryRequest(path, write, read, request, sent(options), timed(options), (error, answer) =>
          error ? reject(error) : resolve(answer as never),
        );
        options.signal?.addEventListener("abort", () => call.cancel());
      });
    },
    async *stream(method, request, options) {
      const [path, write, read] = wire(method);
      const call = plain.makeServerStreamRequest(path, write, read, request, sent(options), timed(options));
      options.signal?.addEventListener("abort", () => call.cancel());
      yield* call as AsyncIterable<never>;
    },
    refusal(thrown) {
      const { code, metadata } = thrown as grpc.ServiceError;
      const [details] = metadata?.get("grpc-status-details-bin") ?? [];
      return refusalIn(code, (details as Buffer | undefined)?.toString("base64"));
    },
    close() {
      plain.close();
      compressing.close();
    },
  };
}

function wire(method: Method<any, any>): [string, (message: any) => Buffer, (bytes: Buffer) => any] {
  return [
    `/${method.parent.typeName}/${method.name}`,
    (message) => Buffer.from(toBinary(method.input, message)),
    (bytes) => fromBinary(method.output, bytes),
  ];
}

function sent({ metadata }: Options): grpc.Metadata {
  return grpc.Metadata.fromHttp2Headers(metadata ?? {});
}

function timed({ timeoutMs }: Options): grpc.CallOptions {
  return { deadline: timeoutMs === undefined ? Infinity : Date.now() + timeoutMs };
}
