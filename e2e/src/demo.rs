//! A demo on free ports: `caremesh up` with a data folder of its own.
//! Must not know what is in the demo.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use caremesh::edge_client;
use tempfile::TempDir;
use tokio::sync::SemaphorePermit;
use tonic::transport::Channel;

use crate::program::{self, Program, free_ports};

/// What `up` says when it can be used.
pub const READY: &str = "Caremesh is ready";

/// A running `caremesh up`.
pub struct Demo {
    /// The process.
    pub program: Program,
    /// Its port for browsers, partners and grpcurl.
    pub gateway_port: u16,
    /// Where the demo issuer listens.
    pub issuer_port: u16,
    environment: Vec<(&'static str, String)>,
    folder: TempDir,
    _turn: SemaphorePermit<'static>,
}

impl Demo {
    /// Starts it and waits until it is ready. `extra` adds settings.
    ///
    /// # Errors
    /// With what it said when it did not start.
    pub async fn start(extra: &[(&'static str, String)]) -> Result<Self> {
        Self::start_on(free_ports()?, extra).await
    }

    /// Starts it on the ports that `docs/ports.md` names.
    ///
    /// # Errors
    /// With what it said when it did not start.
    pub async fn start_on_default_ports() -> Result<Self> {
        Self::start_on([8443, 9090, 50051, 9091, 50053, 9093, 8444], &[]).await
    }

    async fn start_on(
        [gateway_port, gateway_admin, policy, policy_admin, pharmacy, pharmacy_admin, issuer_port]: [u16; 7],
        extra: &[(&'static str, String)],
    ) -> Result<Self> {
        let turn = program::turn().await?;
        let folder = tempfile::tempdir()?;
        let at = |port: u16| format!("127.0.0.1:{port}");
        let mut environment = vec![
            ("CAREMESH_GATEWAY__LISTEN", at(gateway_port)),
            ("CAREMESH_GATEWAY__ADMIN_LISTEN", at(gateway_admin)),
            ("CAREMESH_POLICY__LISTEN", at(policy)),
            ("CAREMESH_POLICY__ADMIN_LISTEN", at(policy_admin)),
            ("CAREMESH_PHARMACY__LISTEN", at(pharmacy)),
            ("CAREMESH_PHARMACY__ADMIN_LISTEN", at(pharmacy_admin)),
            ("CAREMESH_ISSUER__LISTEN", at(issuer_port)),
        ];
        environment.extend_from_slice(extra);
        let program = launch(&folder, &environment)?;
        let mut demo = Self { program, gateway_port, issuer_port, environment, folder, _turn: turn };
        demo.program.until_it_says(READY, 1).await?;
        Ok(demo)
    }

    /// Starts it again on the same data after it has ended.
    ///
    /// # Errors
    /// With what it said when it did not start.
    pub async fn restart(&mut self) -> Result<()> {
        let before = self.program.said()?.matches(READY).count();
        self.program = launch(&self.folder, &self.environment)?;
        self.program.until_it_says(READY, before + 1).await
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The certificate that signs the gateway's.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.data().join("tls").join("local-ca.pem")
    }

    /// An access token, made by `caremesh token`.
    ///
    /// # Errors
    /// With what the command said.
    pub async fn token(&self, name: &str) -> Result<String> {
        let output = self.run(&["token", "--as", name]).await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// A channel to the gateway.
    ///
    /// # Errors
    /// When the authority's certificate cannot be read.
    pub fn channel(&self) -> Result<Channel> {
        edge_client::channel(self.gateway_port, &self.authority())
    }

    /// Runs another command on the same data folder.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn run(&self, arguments: &[&str]) -> Result<std::process::Output> {
        let data = self.data().display().to_string();
        program::run(&[arguments, &["--data", &data]].concat(), &self.environment).await
    }
}

fn launch(folder: &TempDir, environment: &[(&'static str, String)]) -> Result<Program> {
    let data = folder.path().join("data").display().to_string();
    Program::start(&["up", "--data", &data], environment, &folder.path().join("words"))
}
