//! Settings of `caremesh up`: each component's own, with defaults for one machine and a demo.
//! Must not know how components start.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use caremesh_gateway::GatewayConfig;
use caremesh_mesh::telemetry::TelemetryConfig;
use serde_json::{Value, json};

use crate::components;
use crate::config::Sources;
use crate::data::DataFolder;
use crate::issuer::IssuerConfig;

/// Everything that `up` starts with.
pub(super) struct UpSettings {
    /// The edge.
    pub(super) gateway: GatewayConfig,
    /// The demo sign-in.
    pub(super) issuer: IssuerConfig,
    /// svc-policy.
    pub(super) policy: caremesh_svc_policy::Config,
    /// svc-pharmacy.
    pub(super) pharmacy: caremesh_svc_pharmacy::Config,
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
            gateway: sources.component("gateway", &gateway_defaults(sources, folder))?,
            policy: policy(sources, folder)?,
            pharmacy: pharmacy(sources, folder)?,
            telemetry: sources.component("telemetry", &json!({ "log_format": "text" }))?,
            issuer,
        };
        settings.refuse_other_machines()?;
        Ok(settings)
    }

    /// The demo issuer lets anybody be anybody, so nothing of it may be reachable from elsewhere.
    fn refuse_other_machines(&self) -> Result<()> {
        loopback("gateway.listen", self.gateway.listen)?;
        loopback("gateway.admin_listen", self.gateway.admin_listen)?;
        loopback("policy.listen", self.policy.server.listen)?;
        loopback("policy.admin_listen", self.policy.server.admin_listen)?;
        loopback("pharmacy.listen", self.pharmacy.server.listen)?;
        loopback("pharmacy.admin_listen", self.pharmacy.server.admin_listen)
    }
}

/// The edge of a demo: everybody may read the contract, documents lie in the data folder.
fn gateway_defaults(sources: &Sources, folder: &DataFolder) -> Value {
    let mut defaults = json!({ "reflection": "anyone" });
    // A store is one of several kinds: a default beside another one that is set would be two.
    if !sources.sets("gateway.documents.store") {
        defaults["documents"]["store"] = json!({ "folder": folder.documents() });
    }
    defaults["documents"]["key_file"] = json!(folder.documents_key());
    defaults
}

/// svc-policy with its files in the data folder.
///
/// # Errors
/// Names the setting and the rule it breaks.
pub(crate) fn policy(sources: &Sources, folder: &DataFolder) -> Result<caremesh_svc_policy::Config> {
    sources.component("policy", &with_stores(components::policy_defaults(), folder, "policy"))
}

/// svc-pharmacy with its files in the data folder.
///
/// # Errors
/// Names the setting and the rule it breaks.
pub(crate) fn pharmacy(sources: &Sources, folder: &DataFolder) -> Result<caremesh_svc_pharmacy::Config> {
    let mut defaults = with_stores(components::pharmacy_defaults(), folder, "pharmacy");
    if !sources.sets("pharmacy.search") {
        defaults["search"] = json!({ "engine": "embedded", "folder": folder.service("pharmacy-index") });
    }
    // Where svc-policy really is turns out when it has started.
    defaults["policy_address"] = json!("https://127.0.0.1:50051");
    sources.component("pharmacy", &defaults)
}

/// A service's stores in the data folder: data keys apart from the data that they seal.
fn with_stores(mut defaults: Value, folder: &DataFolder, service: &str) -> Value {
    let (data, keys) = (folder.service(service), folder.keys_of(service));
    let store = |path: std::path::PathBuf| format!("sqlite://{}", path.display());
    defaults["database_url"] = store(data.join(format!("{service}.db"))).into();
    defaults["keys_url"] = store(keys.join("keys.db")).into();
    defaults["key_file"] = json!(keys.join("wrapping-keys.json"));
    defaults["audit_key_file"] = json!(keys.join("audit.key"));
    defaults["audit_checkpoint_file"] = json!(folder.audit_of(service).join("checkpoints.jsonl"));
    defaults
}

fn loopback(key: &str, address: SocketAddr) -> Result<()> {
    ensure!(
        address.ip().is_loopback(),
        "{key} is {address}, but `caremesh up` is a demo without passwords and listens on loopback addresses \
         only: use 127.0.0.1, or run `caremesh serve` with an identity provider of your own"
    );
    Ok(())
}
