//! What an operator can set about the gateway, checked once at start.
//! Must not know how anything of it is used.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderValue, Uri};
use serde::Deserialize;
use thiserror::Error;

use crate::limits::Rate;
use crate::steps::cors::origin;

/// A value that the gateway cannot start with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("gateway.{field}: {rule}")]
pub struct ConfigError {
    /// The key, as in the configuration file.
    pub field: String,
    /// What it must be.
    pub rule: &'static str,
}

impl ConfigError {
    fn new(field: impl Into<String>, rule: &'static str) -> Self {
        Self { field: field.into(), rule }
    }
}

/// The gateway's configuration. Every key has a default.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// Where browsers, partners and grpcurl come in, by TLS. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Health, readiness and metrics, in plain text. Keep it on loopback or inside the cluster.
    pub admin_listen: SocketAddr,
    /// The certificate that browsers see, of an authority that they trust. Without it the gateway shows
    /// its certificate of the mesh: fine on one machine, where the local authority is known.
    pub certificate: Option<CertificateFiles>,
    /// Upstream name (`svc-policy`, as in its certificate) → URL (`https://host:port`; `http://` is
    /// without TLS and for tests), or several with commas in between. Every address behind a host name is
    /// a replica; names are resolved anew every few seconds (in Kubernetes: a headless Service).
    pub upstreams: BTreeMap<String, String>,
    /// Connections that each thread holds to each replica of an upstream. 1 to 64.
    pub upstream_connections: usize,
    /// Threads that carry calls, at most 256. 0: one for each core that the process may use.
    pub threads: usize,
    /// Origins of pages that may call from another host, `https://app.example.org`. Pages that the
    /// gateway serves itself need no entry.
    pub allowed_origins: Vec<String>,
    /// Folder of the web app. Without it every plain HTTP path is unknown.
    pub static_folder: Option<PathBuf>,
    /// Origins that pages of `static_folder` may connect to besides the gateway: the sign-in service.
    pub connect_origins: Vec<String>,
    /// Where documents are kept that services sign tickets for. Without it every document is unknown.
    pub documents: Option<DocumentsConfig>,
    /// Who may read the contract over reflection.
    pub reflection: ReflectionAccess,
    /// Limits.
    pub limits: Limits,
    /// How the gateway stops.
    pub drain: Drain,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8443).into(),
            admin_listen: (Ipv4Addr::LOCALHOST, 9090).into(),
            certificate: None,
            upstreams: BTreeMap::new(),
            upstream_connections: 1,
            threads: 0,
            allowed_origins: Vec::new(),
            static_folder: None,
            connect_origins: Vec::new(),
            documents: None,
            reflection: ReflectionAccess::Operators,
            limits: Limits::default(),
            drain: Drain::default(),
        }
    }
}

/// A certificate in PEM files. Read again when they change, without a restart.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// The certificate, then the intermediates up to the authority.
    pub chain: PathBuf,
    /// The private key, PKCS #8 or SEC1.
    pub key: PathBuf,
}

/// Where documents are kept, under which key, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentsConfig {
    /// Where: `store.folder` or `store.s3`.
    pub store: DocumentStore,
    /// A file with 32 random bytes in base64: what every document's own key is wrapped with. Lost, all
    /// documents are lost; keep its backup apart from theirs.
    pub key_file: PathBuf,
    /// The most bytes of one document, whatever its ticket allows. 1 or more.
    #[serde(default = "twenty_five_mebibytes")]
    pub max_bytes: u64,
    /// Hours after which an upload that nobody goes on with is taken away. 25 or more: a ticket may live
    /// for a day.
    #[serde(default = "two_days")]
    pub abandoned_after_hours: u32,
    /// Days that whole documents are kept, by service and purpose (`svc-pharmacy/prescription`). What is not
    /// named is kept until its service deletes it. 1 or more.
    #[serde(default)]
    pub keep_days: BTreeMap<String, u32>,
    /// Minutes between two looks at what is to be taken away. 1 or more.
    #[serde(default = "one_hour")]
    pub sweep_every_minutes: u32,
}

/// A store that all replicas of the gateway share.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentStore {
    /// A folder of this machine, or one that several machines mount.
    Folder(PathBuf),
    /// A bucket of S3, or of something that speaks like it.
    S3(S3Store),
}

/// A bucket. Without credentials here they come from the environment (`AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY`) or from the role of the pod or machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Store {
    /// Its name.
    pub bucket: String,
    /// Its region; without it that of the environment (`AWS_REGION`).
    #[serde(default)]
    pub region: Option<String>,
    /// The URL of a server that is not AWS's. `http://` only inside one machine or a test.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// What every object's name begins with, without a slash at its end.
    #[serde(default)]
    pub prefix: Option<String>,
    /// The name of an access key; with it, `secret_access_key_file` must be given.
    #[serde(default)]
    pub access_key_id: Option<String>,
    /// A file that holds the key's secret and nothing else.
    #[serde(default)]
    pub secret_access_key_file: Option<PathBuf>,
}

const fn two_days() -> u32 {
    48
}

const fn one_hour() -> u32 {
    60
}

/// A photo of a prescription has 3 to 12 MB, a scanned hospital bill up to 20.
const fn twenty_five_mebibytes() -> u64 {
    25 << 20
}

/// Who may list and describe services through the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReflectionAccess {
    /// Without credentials: a laptop, a sandbox for partners.
    Anyone,
    /// Callers with the operator's role.
    Operators,
    /// Nobody; the method is unknown.
    Nobody,
}

/// What the edge takes from one caller, and in all.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Calls of one address (one IPv6 network of 64 bits), with or without credentials.
    pub address_rate: Rate,
    /// Calls of one person, partner organisation or service.
    pub principal_rate: Rate,
    /// Addresses and callers remembered, each. 1,000 or more.
    pub remembered_keys: usize,
    /// The largest message in bytes. 1 KiB to 64 MiB. Services have their own limit besides.
    pub max_message_bytes: usize,
    /// All request messages together that wait for their last byte. At least `max_message_bytes`.
    pub max_waiting_bytes: usize,
    /// Open connections in all; more wait in the listener's queue.
    pub max_connections: usize,
    /// Open connections of one address; more are closed.
    pub max_connections_per_address: usize,
    /// Calls at once on one HTTP/2 connection.
    pub max_streams_per_connection: u32,
    /// Streams that one caller may have open at once, over all its connections.
    pub max_streams_per_caller: usize,
    /// A ping after so many milliseconds without traffic on an HTTP/2 connection; a peer that does not
    /// answer within a third of that is gone. Keep it below the idle timeout of balancers in front (60 s).
    pub ping_interval_ms: u64,
    /// From the end of the TLS handshake to the end of the first request's headers; on HTTP/1.1 also
    /// between two requests.
    pub header_timeout_ms: u64,
    /// After this time a connection is asked to end, so that clients spread over replicas.
    pub max_connection_age_s: u64,
    /// The deadline of a call to a method that is not known.
    pub unknown_deadline_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            address_rate: rate(200, 400),
            principal_rate: rate(100, 200),
            remembered_keys: 100_000,
            max_message_bytes: 4 << 20,
            max_waiting_bytes: 256 << 20,
            max_connections: 10_000,
            max_connections_per_address: 200,
            max_streams_per_connection: 200,
            max_streams_per_caller: 64,
            ping_interval_ms: 30_000,
            header_timeout_ms: 10_000,
            max_connection_age_s: 600,
            unknown_deadline_ms: 10_000,
        }
    }
}

const fn rate(per_second: u32, burst: u32) -> Rate {
    let Some(per_second) = NonZeroU32::new(per_second) else { return ONE };
    let Some(burst) = NonZeroU32::new(burst) else { return ONE };
    Rate { per_second, burst }
}

const ONE: Rate = Rate { per_second: NonZeroU32::MIN, burst: NonZeroU32::MIN };

impl Limits {
    pub(crate) fn header_timeout(&self) -> Duration {
        Duration::from_millis(self.header_timeout_ms)
    }

    pub(crate) fn ping_interval(&self) -> Duration {
        Duration::from_millis(self.ping_interval_ms)
    }

    pub(crate) fn max_connection_age(&self) -> Duration {
        Duration::from_secs(self.max_connection_age_s)
    }

    pub(crate) fn unknown_deadline(&self) -> Duration {
        Duration::from_millis(self.unknown_deadline_ms)
    }
}

/// How the gateway stops.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Drain {
    /// Not ready, but still serving, so that load balancers stop sending first.
    pub notice_ms: u64,
    /// From then on open streams may end by themselves for so many milliseconds; then they are told that the gateway is
    /// stopping (`DRAINING`), and their clients resume elsewhere.
    pub stream_grace_ms: u64,
    /// How long calls that run may take to end; what runs longer is cut off.
    pub limit_ms: u64,
}

impl Default for Drain {
    fn default() -> Self {
        Self { notice_ms: 0, stream_grace_ms: 2_000, limit_ms: 25_000 }
    }
}

impl Drain {
    pub(crate) fn notice(&self) -> Duration {
        Duration::from_millis(self.notice_ms)
    }

    pub(crate) fn stream_grace(&self) -> Duration {
        Duration::from_millis(self.stream_grace_ms)
    }

    pub(crate) fn limit(&self) -> Duration {
        Duration::from_millis(self.limit_ms)
    }
}

impl GatewayConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// The first key that breaks its rule.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.upstream_urls()?;
        self.origins("allowed_origins", &self.allowed_origins)?;
        self.origins("connect_origins", &self.connect_origins)?;
        if !(1..=64).contains(&self.upstream_connections) {
            return Err(ConfigError::new("upstream_connections", "must be 1 to 64"));
        }
        if self.threads > 256 {
            return Err(ConfigError::new("threads", "must be 0 to 256"));
        }
        if self.static_folder.as_ref().is_some_and(|folder| !folder.is_dir()) {
            return Err(ConfigError::new("static_folder", "must be a folder"));
        }
        self.documents.as_ref().map_or(Ok(()), DocumentsConfig::check)?;
        self.limits.check()
    }

    /// The upstreams by name, each with the URLs that lead to its replicas.
    ///
    /// # Errors
    /// A URL that is none, or is not `http` or `https`.
    pub(crate) fn upstream_urls(&self) -> Result<Vec<(String, Vec<Uri>)>, ConfigError> {
        let upstreams = self.upstreams.iter().map(|(name, urls)| {
            let urls: Option<Vec<Uri>> = urls.split(',').map(|url| upstream_url(url.trim())).collect();
            let rule = "must be https://host:port or http://host:port, or several with commas in between";
            let urls = urls.ok_or_else(|| ConfigError::new(format!("upstreams.{name}"), rule))?;
            Ok((name.clone(), urls))
        });
        upstreams.collect()
    }

    /// Origins as header values.
    pub(crate) fn origins(&self, field: &str, origins: &[String]) -> Result<Vec<HeaderValue>, ConfigError> {
        let rule = "must be an origin as browsers write it, https://host or https://host:port";
        let values = origins.iter().map(|it| origin(it).ok_or_else(|| ConfigError::new(field, rule)));
        values.collect()
    }
}

fn upstream_url(text: &str) -> Option<Uri> {
    let url: Uri = text.parse().ok()?;
    let known = matches!(url.scheme_str(), Some("http" | "https"));
    let bare = url.path_and_query().is_none_or(|path| path.as_str() == "/");
    (known && bare && url.host().is_some()).then_some(url)
}

impl DocumentsConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let rules = [
            (self.max_bytes > 0, "max_bytes", "must be 1 or more"),
            (self.abandoned_after_hours >= 25, "abandoned_after_hours", "must be 25 or more"),
            (self.keep_days.values().all(|days| *days > 0), "keep_days", "must be 1 or more each"),
            (
                self.keep_days.keys().all(|kind| kind.split('/').filter(|it| !it.is_empty()).count() == 2),
                "keep_days",
                "must name a service and a purpose each, as in svc-pharmacy/prescription",
            ),
            (self.sweep_every_minutes > 0, "sweep_every_minutes", "must be 1 or more"),
            (
                !matches!(&self.store, DocumentStore::S3(s3)
                    if s3.access_key_id.is_some() != s3.secret_access_key_file.is_some()),
                "store.s3.access_key_id",
                "must be given together with secret_access_key_file, or neither",
            ),
        ];
        match rules.iter().find(|(holds, ..)| !holds) {
            Some((_, field, rule)) => Err(ConfigError::new(format!("documents.{field}"), rule)),
            None => Ok(()),
        }
    }
}

impl Limits {
    fn check(&self) -> Result<(), ConfigError> {
        let rules = [
            (self.remembered_keys >= 1_000, "remembered_keys", "must be 1000 or more"),
            (
                (1 << 10..=64 << 20).contains(&self.max_message_bytes),
                "max_message_bytes",
                "must be 1 KiB to 64 MiB",
            ),
            (
                self.max_waiting_bytes >= self.max_message_bytes,
                "max_waiting_bytes",
                "must be max_message_bytes or more",
            ),
            (self.max_connections > 0, "max_connections", "must be 1 or more"),
            (self.max_connections_per_address > 0, "max_connections_per_address", "must be 1 or more"),
            (self.max_streams_per_connection > 0, "max_streams_per_connection", "must be 1 or more"),
            (self.max_streams_per_caller > 0, "max_streams_per_caller", "must be 1 or more"),
            (self.ping_interval_ms >= 100, "ping_interval_ms", "must be 100 or more"),
            (self.header_timeout_ms > 0, "header_timeout_ms", "must be 1 or more"),
            (self.max_connection_age_s > 0, "max_connection_age_s", "must be 1 or more"),
            (self.unknown_deadline_ms > 0, "unknown_deadline_ms", "must be 1 or more"),
        ];
        let broken = rules.iter().find(|(holds, ..)| !holds);
        broken.map_or(Ok(()), |(_, field, rule)| Err(ConfigError::new(format!("limits.{field}"), rule)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(GatewayConfig::default().check(), Ok(()));
    }

    #[test]
    fn a_wrong_value_is_named_with_its_rule() {
        let mut config = GatewayConfig::default();
        config.upstreams.insert("svc-policy".into(), "ftp://x".into());
        let error = config.check().expect_err("not http").to_string();
        assert!(error.starts_with("gateway.upstreams.svc-policy: must be https://"), "{error}");

        let config = GatewayConfig { allowed_origins: vec!["*".into()], ..Default::default() };
        assert_eq!(config.check().expect_err("no origin").field, "allowed_origins");

        let mut config = GatewayConfig::default();
        config.limits.max_waiting_bytes = 1;
        assert_eq!(config.check().expect_err("too small").field, "limits.max_waiting_bytes");
    }
}
