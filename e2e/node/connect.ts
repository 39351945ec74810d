// Connect's transports: connect-web in browsers, connect-node over gRPC and grpc-web.
import type { Transport } from "@connectrpc/connect";
import { refusalOf } from "./status.js";
import type { Client } from "./trial.js";

/** A trial's client over a transport, and over a second one that compresses, if there is one. */
export function connectClient(plain: Transport, compressing?: Transport): Client {
  const transport = (compress?: boolean) => (compress && compressing ? compressing : plain);
  return {
    compresses: compressing !== undefined,
    streams: true,
    async unary(method, request, { metadata, timeoutMs, signal, compress }) {
      const over = transport(compress);
      const answer = await over.unary(method as never, signal, timeoutMs, metadata, request as never);
      return answer.message as never;
    },
    async *stream(method, request, { metadata, timeoutMs, signal }) {
      const one = (async function* () {
        yield request;
      })();
      const answer = await plain.stream(method as never, signal, timeoutMs, metadata, one as never);
      yield* answer.message as AsyncIterable<never>;
    },
    refusal: refusalOf,
  };
}
