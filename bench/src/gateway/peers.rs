//! The peers: Envoy with its grpc_web filter and HAProxy, each with nothing but what forwarding needs, the
//! same certificate and the same upstream. Must not know how they are measured.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::child::{Process, free_address, installed};

/// By name, and where Debian puts what is for administrators.
const HAPROXY: [&str; 2] = ["haproxy", "/usr/sbin/haproxy"];

/// A running peer and where it listens.
pub(crate) struct Peer {
    /// Its process.
    pub(crate) process: Process,
    /// Its TLS port.
    pub(crate) address: SocketAddr,
}

/// Envoy, or None when it is not installed.
pub(crate) fn envoy(program: &Path, folder: &Path, upstream: SocketAddr) -> anyhow::Result<Option<Peer>> {
    let Some(program) = installed([program]) else { return Ok(None) };
    let address = free_address()?;
    let file = folder.join("envoy.yaml");
    fs::write(&file, envoy_configuration(folder, address, upstream))?;
    let mut command = Command::new(program);
    command.arg("-c").arg(&file).args(["--log-level", "off", "--disable-hot-restart"]);
    Ok(Some(Peer { process: Process::of(&mut command, address)?, address }))
}

/// HAProxy, or None when it is not installed.
pub(crate) fn haproxy(folder: &Path, upstream: SocketAddr) -> anyhow::Result<Option<Peer>> {
    let Some(program) = installed(HAPROXY.map(Path::new)) else { return Ok(None) };
    let address = free_address()?;
    let pair = folder.join("haproxy.pem");
    let parts = [fs::read(folder.join("edge.pem"))?, fs::read(folder.join("edge.key.pem"))?];
    fs::write(&pair, parts.concat())?;
    let file = folder.join("haproxy.cfg");
    fs::write(&file, haproxy_configuration(&pair, address, upstream))?;
    let mut command = Command::new(program);
    command.arg("-db").arg("-q").arg("-f").arg(&file);
    Ok(Some(Peer { process: Process::of(&mut command, address)?, address }))
}

fn haproxy_configuration(pair: &Path, listen: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
         frontend edge\n bind {listen} ssl crt {} alpn h2\n default_backend up\n\
         backend up\n server one {upstream} proto h2\n",
        pair.display(),
    )
}

fn envoy_configuration(folder: &Path, listen: SocketAddr, upstream: SocketAddr) -> String {
    const EXTENSIONS: &str = "type.googleapis.com/envoy.extensions";
    format!(
        r#"
static_resources:
  listeners:
  - address: {{ socket_address: {{ address: {listen_ip}, port_value: {listen_port} }} }}
    filter_chains:
    - transport_socket:
        name: tls
        typed_config:
          "@type": {EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_certificates:
            - certificate_chain: {{ filename: "{folder}/edge.pem" }}
              private_key: {{ filename: "{folder}/edge.key.pem" }}
      filters:
      - name: http
        typed_config:
          "@type": {EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: edge
          codec_type: AUTO
          route_config:
            virtual_hosts:
            - {{ name: all, domains: ["*"], routes: [{{ match: {{ prefix: "/" }}, route: {{ cluster: up }} }}] }}
          http_filters:
          - name: grpc_web
            typed_config: {{ "@type": {EXTENSIONS}.filters.http.grpc_web.v3.GrpcWeb }}
          - name: router
            typed_config: {{ "@type": {EXTENSIONS}.filters.http.router.v3.Router }}
  clusters:
  - name: up
    type: STATIC
    load_assignment:
      cluster_name: up
      endpoints:
      - lb_endpoints:
        - endpoint:
            address: {{ socket_address: {{ address: {up_ip}, port_value: {up_port} }} }}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": {EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{ http2_protocol_options: {{}} }}
"#,
        listen_ip = listen.ip(),
        listen_port = listen.port(),
        up_ip = upstream.ip(),
        up_port = upstream.port(),
        folder = folder.display(),
    )
}
