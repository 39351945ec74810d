//! Settings of `caremesh up`: each component's own, with defaults for one machine and a demo.
//! Must not know how components start.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use caremesh_gateway::GatewayConfig;
use caremesh_mesh::telemetry::TelemetryConfig;
use serde_json::json;

use crate::config::Sources;
use crate::data::DataFolder;
use crate::issuer::IssuerConfig;

/// Everything that `up` starts with.
pub(super) struct UpSettings {
    /// The edge.
    pub(super) gateway: GatewayConfig,
    /// The demo sign-in.
    pub(super) issuer: IssuerConfig,

    /// Logs, traces, metrics of the whole process.
    pub(super) telemetry: TelemetryConfig,
}

impl UpSettings {
    /// Reads them all.
    ///
    /// # Errors
    /// Names the setting and the rule it breaks.
    pub(super) fn read(sources: &Sources, folder: &DataFolder) -> Result<Self> {
        let issuer: IssuerConfig = sources.component("issuer", &IssuerConfig::default())?;
        issuer.validate()?;
        let settings = Self {
            gateway: sources.component("gateway", &json!({ "reflection": "anyone" }))?,
            telemetry: sources.component("telemetry", &json!({ "log_format": "text" }))?,
            issuer,
        };
        settings.refuse_other_machines()?;
        Ok(settings)
    }

    /// The demo issuer lets anybody be anybody, so nothing of it may be reachable from elsewhere.
    fn refuse_other_machines(&self) -> Result<()> {
        loopback("gateway.listen", self.gateway.listen)?;
        loopback("gateway.admin_listen", self.gateway.admin_listen)
    }
}

fn loopback(key: &str, address: SocketAddr) -> Result<()> {
    ensure!(
        address.ip().is_loopback(),
        "{key} is {address}, but `caremesh up` is a demo without passwords and listens on loopback addresses \
         only: use 127.0.0.1, or run `caremesh serve` with an identity provider of your own"
    );
    Ok(())
}
