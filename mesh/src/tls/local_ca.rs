//! The private authority of one machine: made in the data folder on first start, signs the certificates
//! of the services that run there. Production uses certificate files instead and never comes here.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use caremesh_kernel::{Clock, IdSource, SystemIds, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};

use super::{
    Material, TlsError,
    material::{file_error, read},
};
use crate::identity::SpiffeId;

/// Certificate and key together, so that the file is there whole or not at all. Mode 0600.
const BUNDLE: &str = "local-ca.key.pem";
/// Where in the bundle the key begins.
const KEY_BEGINS: &[u8] = b"-----BEGIN PRIVATE KEY-----";
/// The certificate alone, for `grpcurl -cacert` and for browsers.
const CERTIFICATE: &str = "local-ca.pem";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const ROOT_LIFE: Duration = DAY.saturating_mul(3_650);
/// A service is given a new certificate at every start, and while it runs before the old one ends.
const WORKLOAD_LIFE: Duration = DAY.saturating_mul(30);
/// Nobody renews a file that was made for a tool.
const FILE_LIFE: Duration = DAY.saturating_mul(397);

/// The authority of one data folder.
pub struct LocalCa {
    folder: PathBuf,
    trust_domain: String,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl LocalCa {
    /// Opens the authority in `folder`, or makes it. Several processes may do so at once: the first
    /// one's authority is everybody's.
    ///
    /// # Errors
    /// When the folder cannot be written or the files there are not an authority's.
    pub fn open_or_create(folder: &Path, trust_domain: &str, clock: &dyn Clock) -> Result<Self, TlsError> {
        SpiffeId::new(trust_domain, "any")?;
        let bundle = folder.join(BUNDLE);
        if !bundle.exists() {
            fs::create_dir_all(folder).map_err(|e| file_error(folder, e))?;
            create(&bundle, trust_domain, clock.now())?;
        }
        Self::open(folder, &bundle, trust_domain)
    }

    fn open(folder: &Path, bundle: &Path, trust_domain: &str) -> Result<Self, TlsError> {
        let unusable = || TlsError::Pem {
            path: bundle.to_owned(),
            rule: "must hold the local authority's certificate and key",
        };
        let text = zeroize::Zeroizing::new(read(bundle)?);
        let certificate = CertificateDer::from_pem_slice(&text).map_err(|_| unusable())?;
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| unusable())?;
        let key = KeyPair::try_from(&key).map_err(|_| unusable())?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|_| unusable())?;
        let ca =
            Self { folder: folder.to_owned(), trust_domain: trust_domain.to_owned(), certificate, issuer };
        if !ca.certificate_path().exists() {
            // The bundle begins with the certificate.
            let end = text.windows(KEY_BEGINS.len()).position(|w| w == KEY_BEGINS).ok_or_else(unusable)?;
            publish(&ca.certificate_path(), &text[..end])?;
        }
        Ok(ca)
    }

    /// Path of the authority's certificate, PEM, readable by anyone.
    #[must_use]
    pub fn certificate_path(&self) -> PathBuf {
        self.folder.join(CERTIFICATE)
    }

    /// A fresh key and certificate for `service` (`svc-policy`), good on this machine: its SPIFFE name,
    /// `localhost` and the loopback addresses.
    ///
    /// # Errors
    /// When the name is none a service can have.
    pub fn issue(&self, service: &str, clock: &dyn Clock) -> Result<Material, TlsError> {
        let id = SpiffeId::new(&self.trust_domain, service)?;
        let key = KeyPair::generate()?;
        let certificate = workload_params(&id, clock.now(), WORKLOAD_LIFE)?.signed_by(&key, &self.issuer)?;
        Ok(Material {
            chain: vec![certificate.der().clone(), self.certificate.clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            roots: vec![self.certificate.clone()],
        })
    }

    /// Writes a certificate and key (0600) of `service` as `<service>.pem` and `<service>.key.pem`
    /// into the folder, for tools that call a service directly. Gives both paths.
    ///
    /// # Errors
    /// As [`LocalCa::issue`], and when the folder cannot be written.
    pub fn issue_files(&self, service: &str, clock: &dyn Clock) -> Result<(PathBuf, PathBuf), TlsError> {
        let id = SpiffeId::new(&self.trust_domain, service)?;
        let key = KeyPair::generate()?;
        let certificate = workload_params(&id, clock.now(), FILE_LIFE)?.signed_by(&key, &self.issuer)?;
        let paths =
            (self.folder.join(format!("{service}.pem")), self.folder.join(format!("{service}.key.pem")));
        write(&paths.0, 0o644, certificate.pem().as_bytes())?;
        write(&paths.1, 0o600, key.serialize_pem().as_bytes())?;
        Ok(paths)
    }
}

impl std::fmt::Debug for LocalCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalCa").field("folder", &self.folder).finish_non_exhaustive()
    }
}

fn create(bundle: &Path, trust_domain: &str, now: Timestamp) -> Result<(), TlsError> {
    let key = KeyPair::generate()?;
    let certificate = root_params(trust_domain, now).self_signed(&key)?;
    let text = zeroize::Zeroizing::new(format!("{}{}", certificate.pem(), key.serialize_pem()));
    let draft = draft_of(bundle);
    write(&draft, 0o600, text.as_bytes())?;
    // A hard link fails when the name exists, so of several first starts exactly one wins.
    let linked = fs::hard_link(&draft, bundle);
    fs::remove_file(&draft).map_err(|e| file_error(&draft, e))?;
    match linked {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(file_error(bundle, e)),
    }
}

/// A name beside `path` that nobody else writes to.
fn draft_of(path: &Path) -> PathBuf {
    path.with_added_extension(SystemIds.uuid().simple().to_string())
}

/// Writes the file so that a reader finds all of it or nothing.
fn publish(path: &Path, content: &[u8]) -> Result<(), TlsError> {
    let draft = draft_of(path);
    write(&draft, 0o644, content)?;
    fs::rename(&draft, path).map_err(|e| file_error(path, e))
}

fn write(path: &Path, mode: u32, content: &[u8]) -> Result<(), TlsError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)
        .map_err(|e| file_error(path, e))?;
    file.write_all(content).map_err(|e| file_error(path, e))?;
    file.sync_all().map_err(|e| file_error(path, e))
}

fn root_params(trust_domain: &str, now: Timestamp) -> CertificateParams {
    let mut params = dated(now, ROOT_LIFE);
    params.distinguished_name = named(&format!("Caremesh local authority of {trust_domain}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn workload_params(id: &SpiffeId, now: Timestamp, life: Duration) -> Result<CertificateParams, TlsError> {
    let mut params = dated(now, life);
    params.distinguished_name = named(id.service());
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![
        SanType::URI(id.to_string().try_into()?),
        SanType::DnsName("localhost".try_into()?),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ];
    Ok(params)
}

fn dated(now: Timestamp, life: Duration) -> CertificateParams {
    let now = UNIX_EPOCH + Duration::from_micros(now.as_micros().unsigned_abs());
    let mut params = CertificateParams::default();
    // From a day ago: a peer's clock may run behind.
    params.not_before = (now - DAY).into();
    params.not_after = (now + life).into();
    params
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}
