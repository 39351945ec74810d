//! The mesh's own settings: limits, times, addresses. Every value has a default that a production server
//! can run with; an unknown key is an error. Checked once, at start.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

/// A setting that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("server.{field}: {rule}")]
pub struct ConfigError {
    /// The setting, `admission.max_calls`.
    pub field: &'static str,
    /// What it must be.
    pub rule: &'static str,
}

/// How a server listens and what it lets in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Where gRPC is served. Port 0: any free one.
    pub listen: SocketAddr,
    /// Where health, readiness and metrics are served in plain text; never to be reachable from outside.
    pub admin_listen: SocketAddr,
    /// Calls and streams at a time.
    pub admission: AdmissionConfig,
    /// HTTP/2 limits of one connection.
    pub http2: Http2Config,
    /// How the server ends.
    pub shutdown: ShutdownConfig,
    /// How dependencies are probed.
    pub health: HealthConfig,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            admission: AdmissionConfig::default(),
            http2: Http2Config::default(),
            shutdown: ShutdownConfig::default(),
            health: HealthConfig::default(),
        }
    }
}

/// How many calls are worked on, and what happens to the rest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdmissionConfig {
    /// Unary calls at a time; keep it near twice the database pool, which is what they wait for. Fewer are let in
    /// while calls take more than twice as long as at their best.
    pub max_calls: usize,
    /// So many unary calls are let in however long they take.
    pub min_calls: usize,
    /// Open streams at a time. They are counted apart: they live long and do little.
    pub max_streams: usize,
    /// Calls that may wait for a place; the next one is shed at once. Once callers have had to wait again and again for
    /// `max_wait_ms`, only half as many may wait as are worked on: under lasting overload a longer queue makes everybody late and
    /// serves nobody more.
    pub max_waiting: usize,
    /// Longest wait for a place, in milliseconds.
    pub max_wait_ms: u64,
    /// A request must be whole after so many milliseconds; until then it takes no place.
    pub max_arrival_ms: u64,
    /// Bytes of all requests together that wait for their last one; more are shed.
    pub max_arriving_bytes: usize,
    /// What a shed caller is told to wait, in milliseconds (`RetryInfo`).
    pub retry_after_ms: u64,
}

impl Default for AdmissionConfig {
    fn default() -> Self {
        Self {
            max_calls: 128,
            min_calls: 8,
            max_streams: 1_024,
            max_waiting: 256,
            max_wait_ms: 250,
            max_arrival_ms: 5_000,
            max_arriving_bytes: 64 * 1024 * 1024,
            retry_after_ms: 500,
        }
    }
}

/// HTTP/2 limits of one connection. hyper's own defaults are lost when a builder passes "none" for them,
/// so each is said here.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http2Config {
    /// Streams a client may have open.
    pub max_concurrent_streams: u32,
    /// Streams that the client reset before they were accepted, after which the connection is closed
    /// (CVE-2023-44487). hyper's 20 is too few for a search box that cancels at every key.
    pub max_pending_accept_reset_streams: usize,
    /// Streams that this server reset, after which the connection is closed (RUSTSEC-2024-0003).
    pub max_local_error_reset_streams: usize,
    /// Bytes of all headers of a request together: a token of two kilobytes and a trace fit many times.
    pub max_header_list_bytes: u32,
    /// Bytes of one request message.
    pub max_message_bytes: usize,
    /// A ping after so many seconds without traffic.
    pub keepalive_interval_s: u64,
    /// A connection whose ping is not answered within so many seconds is dead.
    pub keepalive_timeout_s: u64,
    /// A connection is closed after so many seconds, so that clients find new replicas; a tenth more or
    /// less by chance, so that they do not all come at once.
    pub max_age_s: u64,
    /// Calls on a connection of that age may go on for so many seconds.
    pub max_age_grace_s: u64,
}

impl Default for Http2Config {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 512,
            max_pending_accept_reset_streams: 200,
            max_local_error_reset_streams: 2_048,
            max_header_list_bytes: 32 * 1024,
            max_message_bytes: 4 * 1024 * 1024,
            keepalive_interval_s: 30,
            keepalive_timeout_s: 10,
            max_age_s: 480,
            max_age_grace_s: 60,
        }
    }
}

/// How a server ends, in the order of its steps.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShutdownConfig {
    /// Not serving, but still accepting, for so many milliseconds: until load balancers have seen it.
    pub notice_ms: u64,
    /// From then on open streams may end by themselves for so many milliseconds; then they are told that
    /// the server is stopping (`DRAINING`), and their clients resume elsewhere.
    pub stream_grace_ms: u64,
    /// Calls may end within so many milliseconds; then connections are cut.
    pub drain_ms: u64,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self { notice_ms: 0, stream_grace_ms: 2_000, drain_ms: 25_000 }
    }
}

/// How dependencies are probed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthConfig {
    /// Milliseconds from one round of probes to the next.
    pub period_ms: u64,
    /// A probe that takes longer has failed.
    pub timeout_ms: u64,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self { period_ms: 5_000, timeout_ms: 2_000 }
    }
}

impl ServerConfig {
    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// [`ConfigError`] names the first setting that is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let positive: [(&'static str, bool); 14] = [
            ("admission.max_calls", self.admission.max_calls > 0),
            ("admission.max_streams", self.admission.max_streams > 0),
            ("admission.max_arrival_ms", self.admission.max_arrival_ms > 0),
            ("admission.max_arriving_bytes", self.admission.max_arriving_bytes > 0),
            ("admission.retry_after_ms", self.admission.retry_after_ms > 0),
            ("http2.max_concurrent_streams", self.http2.max_concurrent_streams > 0),
            ("http2.max_pending_accept_reset_streams", self.http2.max_pending_accept_reset_streams > 0),
            ("http2.max_local_error_reset_streams", self.http2.max_local_error_reset_streams > 0),
            ("http2.max_header_list_bytes", self.http2.max_header_list_bytes > 0),
            ("http2.max_message_bytes", self.http2.max_message_bytes > 0),
            ("http2.keepalive_interval_s", self.http2.keepalive_interval_s > 0),
            ("http2.max_age_s", self.http2.max_age_s > 0),
            ("health.period_ms", self.health.period_ms > 0),
            ("health.timeout_ms", self.health.timeout_ms > 0),
        ];
        match positive.into_iter().find(|(_, holds)| !holds) {
            Some((field, _)) => Err(ConfigError { field, rule: "must be greater than 0" }),
            None => Ok(()),
        }
    }

    /// Longest time from the signal to the end.
    #[must_use]
    pub fn longest_shutdown(&self) -> Duration {
        Duration::from_millis(self.shutdown.notice_ms + self.shutdown.drain_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_pass_their_own_check() {
        assert_eq!(ServerConfig::default().check(), Ok(()));
    }

    #[test]
    fn a_setting_of_zero_is_refused_by_name() {
        let mut config = ServerConfig::default();
        config.http2.max_local_error_reset_streams = 0;
        let refused = config.check().expect_err("refused").to_string();
        assert_eq!(refused, "server.http2.max_local_error_reset_streams: must be greater than 0");
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let refused = serde_json::from_str::<ServerConfig>(r#"{"admision": {}}"#);
        assert!(refused.expect_err("refused").to_string().contains("admision"));
    }
}
