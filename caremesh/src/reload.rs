//! Certificates that change on disk are used from the next handshake on, without a restart.
//! Must not know what serves with them.

use std::time::Duration;

use caremesh_mesh::tls::{CertificateFiles, Material, WorkloadIdentity};
use tokio::time::{MissedTickBehavior, interval};

/// How often the files are looked at. Looking beats being told: an orchestrator replaces a mounted
/// folder by switching a symbolic link, which file notifications miss.
pub const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Watches the files for as long as the process lives.
pub fn watch(workload: WorkloadIdentity, files: CertificateFiles, every: Duration) {
    let mut seen = contents(&files);
    tokio::spawn(async move {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let present = contents(&files);
            if present == seen {
                continue;
            }
            // Certificate and key are two files: half of a change does not fit together, and the next
            // look sees the whole.
            match Material::load(&files).and_then(|material| workload.replace(material)) {
                Ok(()) => {
                    tracing::info!("The certificate was replaced.");
                    seen = present;
                }
                Err(error) => {
                    let error = anyhow::Error::from(error);
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "The changed certificate cannot be used; the old one stays."
                    );
                }
            }
        }
    });
}

fn contents(files: &CertificateFiles) -> [Option<Vec<u8>>; 3] {
    [&files.certificate, &files.key, &files.roots].map(|path| std::fs::read(path).ok())
}

#[cfg(test)]
mod tests {
    use caremesh_kernel::SystemClock;
    use caremesh_mesh::tls::LocalCa;

    use super::*;

    #[tokio::test]
    async fn a_replaced_certificate_is_used_and_half_of_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let ca = LocalCa::open_or_create(folder.path(), "caremesh.test", &SystemClock).expect("a CA");
        let (certificate, key) = ca.issue_files("svc-old", &SystemClock).expect("issued");
        let roots = ca.certificate_path();
        let files = CertificateFiles {
            certificate: certificate.clone(),
            key: key.clone(),
            roots,
            trust_domain: "caremesh.test".to_owned(),
        };
        let workload = WorkloadIdentity::new(Material::load(&files).expect("loads")).expect("fits");
        watch(workload.clone(), files, Duration::from_millis(5));

        let (new_certificate, new_key) = ca.issue_files("svc-new", &SystemClock).expect("issued");
        std::fs::copy(&new_certificate, &certificate).expect("replaced");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(workload.id().service(), "svc-old", "certificate and key do not fit yet");

        std::fs::copy(&new_key, &key).expect("replaced");
        tokio::time::timeout(Duration::from_secs(5), async {
            while workload.id().service() != "svc-new" {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("the new certificate is used");
    }
}
