//! Identities for tests: a token issuer with real keys, a local authority, contexts of callers. Signs
//! what it is told to, bad tokens included; must not know any service.

mod context;
mod issuer;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use caremesh_kernel::{PersonId, SystemClock};
use caremesh_mesh::tls::{LocalCa, WorkloadIdentity};
use tempfile::TempDir;

pub use context::{context_of_person, context_of_service};
pub use issuer::{Served, TestIssuer, TokenDraft};

/// The trust domain of tests.
pub const TRUST_DOMAIN: &str = "caremesh.test";

/// A person as an issuer knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestPerson {
    /// `sub`.
    pub subject: String,
    /// The person's record.
    pub person_id: Option<PersonId>,
    /// Role names as in the contract, `member`, `claims_officer`.
    pub roles: Vec<String>,
    /// `org_…` of staff and partners.
    pub organisation: Option<String>,
}

impl TestPerson {
    /// Somebody with these roles and neither record nor organisation.
    #[must_use]
    pub fn new(subject: &str, roles: &[&str]) -> Self {
        let roles = roles.iter().map(|&role| role.to_owned()).collect();
        Self { subject: subject.to_owned(), person_id: None, roles, organisation: None }
    }

    /// A member whose record is `id`.
    #[must_use]
    pub fn member(subject: &str, id: PersonId) -> Self {
        Self::new(subject, &["member"]).with_record(id)
    }

    /// The same, with a record.
    #[must_use]
    pub fn with_record(mut self, id: PersonId) -> Self {
        self.person_id = Some(id);
        self
    }

    /// The same, of an organisation.
    #[must_use]
    pub fn of(mut self, organisation: &str) -> Self {
        self.organisation = Some(organisation.to_owned());
        self
    }
}

/// A local authority in a folder of its own, gone when dropped.
#[derive(Debug)]
pub struct TestAuthority {
    ca: LocalCa,
    folder: TempDir,
}

impl TestAuthority {
    /// A new authority of [`TRUST_DOMAIN`].
    ///
    /// # Errors
    /// When the temporary folder cannot be written.
    pub fn new() -> anyhow::Result<Self> {
        Self::of_domain(TRUST_DOMAIN)
    }

    /// A new authority of another trust domain.
    ///
    /// # Errors
    /// When the temporary folder cannot be written.
    pub fn of_domain(trust_domain: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("a folder for the test's authority")?;
        let ca = LocalCa::open_or_create(folder.path(), trust_domain, &SystemClock)?;
        Ok(Self { ca, folder })
    }

    /// The identity of `service`, signed here.
    ///
    /// # Errors
    /// When the name is none a service can have.
    pub fn workload(&self, service: &str) -> anyhow::Result<WorkloadIdentity> {
        Ok(WorkloadIdentity::new(self.ca.issue(service, &SystemClock)?)?)
    }

    /// The authority itself.
    #[must_use]
    pub fn ca(&self) -> &LocalCa {
        &self.ca
    }

    /// Where it lies.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its certificate, PEM, for clients that are not ours.
    #[must_use]
    pub fn certificate_path(&self) -> PathBuf {
        self.ca.certificate_path()
    }
}
