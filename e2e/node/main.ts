// Runs every client that lives in Node.js through the trial. Reads its order from standard input, prints JSON.
import { json } from "node:stream/consumers";
import { readFileSync } from "node:fs";
import { compressionGzip, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { connectClient } from "./connect.js";
import { grpcJsClient } from "./grpc-js.js";
import { type Client, trial } from "./trial.js";

const order = (await json(process.stdin)) as { port: number; authority: string; token: string };
const ca = readFileSync(order.authority);
const baseUrl = `https://localhost:${order.port}`;
const gzip = { sendCompression: compressionGzip, acceptCompression: [compressionGzip], compressMinBytes: 0 };

const http1 = { baseUrl, httpVersion: "1.1", nodeOptions: { ca } } as const;
const http2 = { baseUrl, httpVersion: "2", nodeOptions: { ca } } as const;
const grpcJs = grpcJsClient(`localhost:${order.port}`, ca);
const clients: Record<string, Client> = {
  "grpc-js": grpcJs,
  "connect-node, gRPC": connectClient(createGrpcTransport(http2), createGrpcTransport({ ...http2, ...gzip })),
  "connect-node, grpc-web, HTTP/1.1": connectClient(
    createGrpcWebTransport(http1),
    createGrpcWebTransport({ ...http1, ...gzip }),
  ),
  "connect-node, grpc-web, HTTP/2": connectClient(
    createGrpcWebTransport(http2),
    createGrpcWebTransport({ ...http2, ...gzip }),
  ),
};

const seen: Record<string, unknown> = {};
for (const [name, client] of Object.entries(clients)) seen[name] = await trial(client, order.token);
console.log(JSON.stringify(seen));
grpcJs.close();
// Connect keeps its HTTP/2 connections for later calls; nobody makes any.
process.exit(0);
