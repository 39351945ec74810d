//! Runs the demo issuer inside `up`.
//! Must not know what it answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use caremesh_kernel::SystemClock;
use caremesh_mesh::tls::Renewing;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::data::DataFolder;
use crate::demo::DemoPerson;
use crate::issuer::{Issuer, IssuerConfig, KeyRing, TlsListener, seconds};

/// The name in the issuer's certificate.
const NAME: &str = "demo-issuer";
/// How often it is looked whether the next signing key is due.
const ROTATION_CHECK: Duration = Duration::from_secs(3600);

/// The demo issuer with its port open.
pub(super) struct OpenIssuer {
    issuer: Arc<Issuer>,
    listener: TlsListener,
    /// `https://localhost:8444`.
    pub(super) url: String,
}

/// Opens the port and the keys.
///
/// # Errors
/// When the port is taken or a file cannot be read; names the setting.
pub(super) async fn open(
    config: IssuerConfig,
    folder: &DataFolder,
    renewing: &Renewing,
    people: Vec<DemoPerson>,
) -> Result<OpenIssuer> {
    let socket = bind("issuer.listen", config.listen).await?;
    let url = format!("https://localhost:{}", socket.local_addr()?.port());
    let clock = Arc::new(SystemClock);
    let keys = KeyRing::open_or_create(&folder.issuer_keys(), seconds(&*clock))?;
    keys.rotate(seconds(&*clock))?;
    let tls = renewing.workload(NAME)?.edge_server_config()?;
    let issuer = Arc::new(Issuer::new(config, url.clone(), keys, people, clock)?);
    Ok(OpenIssuer { issuer, listener: TlsListener::start(socket, tls)?, url })
}

/// Opens a port.
///
/// # Errors
/// Names the address and the setting that chooses another.
pub(super) async fn bind(setting: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "{address} cannot be listened on: stop what uses it, or choose another address with \
             --set {setting}=127.0.0.1:PORT"
        )
    })
}

/// The demo issuer's server.
pub(super) struct Serving {
    issuer: Arc<Issuer>,
    listener: TlsListener,
}

impl OpenIssuer {
    /// The issuer to ask, and its server to run.
    pub(super) fn split(self) -> (Arc<Issuer>, Serving) {
        let serving = Serving { issuer: Arc::clone(&self.issuer), listener: self.listener };
        (self.issuer, serving)
    }
}

impl Serving {
    /// Serves until `shutdown`.
    ///
    /// # Errors
    /// When the listener fails.
    pub(super) async fn run(self, shutdown: CancellationToken) -> Result<()> {
        let rotation = tokio::spawn(rotate(Arc::clone(&self.issuer)));
        let served = axum::serve(self.listener, self.issuer.router())
            .with_graceful_shutdown(shutdown.cancelled_owned())
            .await;
        rotation.abort();
        Ok(served?)
    }
}

async fn rotate(issuer: Arc<Issuer>) {
    loop {
        tokio::time::sleep(ROTATION_CHECK).await;
        if let Err(error) = issuer.rotate_keys() {
            tracing::error!(error = format!("{error:#}"), "The demo issuer cannot rotate its keys.");
        }
    }
}
