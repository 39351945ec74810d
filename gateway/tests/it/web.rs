//! Clients that hide nothing: HTTP/1.1 and HTTP/2 over TLS, grpc-web frames read by hand.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::probe::Reply;
use crate::world::World;

pub(crate) const ORIGIN: &str = "https://app.example.org";

/// Connects as a browser does, offering one protocol.
pub(crate) async fn tls(world: &World, alpn: &[u8]) -> TlsStream<TcpStream> {
    tls_to(world.address, world.trust.roots(), alpn).await
}

async fn tls_to(address: SocketAddr, roots: RootCertStore, alpn: &[u8]) -> TlsStream<TcpStream> {
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let tcp = TcpStream::connect(address).await.expect("listens");
    tcp.set_nodelay(true).expect("option");
    let name = ServerName::try_from("localhost").expect("name");
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("trusted")
}

/// Which protocol carries a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Http1,
    Http2,
}

/// Sends one request on a connection of its own.
pub(crate) async fn send<B>(world: &World, wire: Wire, request: Request<B>) -> Response<Incoming>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match wire {
        Wire::Http1 => {
            let io = TokioIo::new(tls(world, b"http/1.1").await);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("HTTP/1.1");
            tokio::spawn(connection);
            sender.send_request(request).await.expect("answered")
        }
        Wire::Http2 => {
            let io = TokioIo::new(tls(world, b"h2").await);
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
            tokio::spawn(connection);
            sender.send_request(request).await.expect("answered")
        }
    }
}

/// What a grpc-web call gave.
#[derive(Debug)]
pub(crate) struct WebAnswer {
    pub(crate) http: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) messages: Vec<Reply>,
    pub(crate) status: Status,
}

impl WebAnswer {
    /// The reason of the one ErrorInfo.
    pub(crate) fn reason(&self) -> String {
        self.status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
    }

    pub(crate) fn code(&self) -> Code {
        self.status.code()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default()
    }
}

/// How a grpc-web call is made.
#[derive(Debug, Clone)]
pub(crate) struct WebCall {
    pub(crate) wire: Wire,
    pub(crate) path: String,
    pub(crate) content_type: &'static str,
    pub(crate) token: Option<String>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl WebCall {
    /// A member's binary call over HTTP/1.1, as Chromium makes it without HTTP/2.
    pub(crate) fn new(method: &str, message: &impl Message) -> Self {
        Self {
            wire: Wire::Http1,
            path: format!("/caremesh.probe.v1.ProbeService/{method}"),
            content_type: "application/grpc-web+proto",
            token: Some("member-1".to_owned()),
            headers: Vec::new(),
            body: frame(0, &message.encode_to_vec()),
        }
    }

    pub(crate) fn over(mut self, wire: Wire) -> Self {
        self.wire = wire;
        self
    }

    pub(crate) fn text(mut self) -> Self {
        self.content_type = "application/grpc-web-text";
        self.body = STANDARD.encode(&self.body).into_bytes();
        self
    }

    pub(crate) fn token(mut self, token: Option<&str>) -> Self {
        self.token = token.map(str::to_owned);
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    pub(crate) fn request<B>(&self, world: &World, body: B) -> Request<B> {
        let uri = match self.wire {
            Wire::Http1 => self.path.clone(),
            Wire::Http2 => format!("https://localhost:{}{}", world.address.port(), self.path),
        };
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header("host", "localhost")
            .header("origin", ORIGIN)
            .header("content-type", self.content_type)
            .header("x-grpc-web", "1");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {}", world.trust.token(token)));
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request.body(body).expect("valid")
    }

    pub(crate) async fn send(self, world: &World) -> WebAnswer {
        let body = Full::new(Bytes::from(self.body.clone()));
        let request = self.request(world, body);
        let response = send(world, self.wire, request).await;
        read(response, self.content_type.contains("text")).await
    }
}

/// Reads an answer to its end, as a browser's client does: from headers when they carry a status
/// ("trailers only"), else from the trailers frame.
pub(crate) async fn read(response: Response<Incoming>, text: bool) -> WebAnswer {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("whole").to_bytes();
    let body = if text { decode_text(&body) } else { body.to_vec() };
    let (mut messages, mut trailers) = (Vec::new(), None);
    for (flag, payload) in frames(&body) {
        match flag {
            0 => messages.push(Reply::decode(payload).expect("a reply")),
            0x80 => trailers = Some(parse_trailers(payload)),
            other => panic!("unknown frame {other}"),
        }
    }
    let status = trailers
        .as_ref()
        .and_then(Status::from_header_map)
        .or_else(|| Status::from_header_map(&parts.headers))
        .unwrap_or_else(|| Status::unknown("closed without a status"));
    WebAnswer { http: parts.status, headers: parts.headers, messages, status }
}

/// Text mode is base64 in pieces, each padded for itself.
fn decode_text(body: &[u8]) -> Vec<u8> {
    let quads: Vec<&[u8]> = body.chunks(4).collect();
    quads.iter().flat_map(|quad| STANDARD.decode(quad).expect("base64")).collect()
}

pub(crate) fn frame(flag: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&[flag], &length[..], payload].concat()
}

fn frames(mut body: &[u8]) -> Vec<(u8, &[u8])> {
    let mut found = Vec::new();
    while let [flag, a, b, c, d, rest @ ..] = body {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        found.push((*flag, &rest[..length]));
        body = &rest[length..];
    }
    assert!(body.is_empty(), "bytes after the last frame");
    found
}

fn parse_trailers(payload: &[u8]) -> HeaderMap {
    let text = std::str::from_utf8(payload).expect("ASCII");
    let lines = text.split("\r\n").filter(|line| !line.is_empty());
    let pairs = lines.map(|line| line.split_once(':').expect("name: value"));
    pairs.map(|(k, v)| (k.parse().expect("name"), v.trim().parse().expect("value"))).collect()
}

/// A GET in plain text, for the admin port.
pub(crate) async fn get_plain(address: SocketAddr, path: &str) -> (StatusCode, String) {
    let io = TokioIo::new(TcpStream::connect(address).await.expect("listens"));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("HTTP/1.1");
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "admin").body(Full::<Bytes>::default()).expect("valid");
    let response = sender.send_request(request).await.expect("answered");
    let status = response.status();
    let body = response.into_body().collect().await.expect("whole").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}
