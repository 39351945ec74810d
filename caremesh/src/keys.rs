//! `caremesh keys`: rotation of key-encryption keys with progress, the erasure list, and its replay after a restore.
//! Must not know what the keys sealed.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use caremesh_db::keys::KeyStore;
use caremesh_kernel::PersonId;
use caremesh_svc_pharmacy as pharmacy;
use caremesh_svc_policy as policy;

use crate::admin::{Services, block_on};
use crate::config::Sources;
use crate::exit::{Failure, OrFail};
use crate::terminal;

/// Gives the data keys of every service another key-encryption key.
///
/// # Errors
/// When a setting is wrong, or a key file or a key store cannot be used.
pub fn rotate(root: Option<&Path>, sources: &Sources) -> Result<(), Failure> {
    let services = Services::read(root, sources)?;
    block_on(async {
        for (name, store) in stores(&services).await? {
            let bar = terminal::progress(0, &format!("wrapping the data keys of {name} anew"));
            let outcome = store.rotate(&|done, all| terminal::show(&bar, done, all)).await;
            bar.finish_and_clear();
            store.close().await;
            let outcome = outcome.or_environment()?;
            let how = if outcome.resumed { "went on with a rotation that broke off" } else { "rotated" };
            let (kek, count) = (outcome.kek, outcome.rewrapped);
            terminal::say(&format!("{name}: {how}; {count} data keys wrapped anew, all with {kek}."));
        }
        Ok(())
    })
}

/// Prints whose keys were destroyed, for every service.
///
/// # Errors
/// As [`rotate`].
pub fn erasures(root: Option<&Path>, sources: &Sources) -> Result<(), Failure> {
    let services = Services::read(root, sources)?;
    block_on(async {
        for (name, store) in stores(&services).await? {
            let listed = store.erasures().await;
            store.close().await;
            for person in listed.or_environment()? {
                terminal::print_line(&format!("{name} {person}")).or_environment()?;
            }
        }
        Ok(())
    })
}

/// Destroys the keys on a list again.
///
/// # Errors
/// As [`rotate`], and when a line of the file is none of such a list.
pub fn replay(file: &Path, root: Option<&Path>, sources: &Sources) -> Result<(), Failure> {
    let services = Services::read(root, sources)?;
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string()).or_environment()?;
    let listed: Vec<(&str, PersonId)> = text.lines().map(line).collect::<Result<_, _>>().or_settings()?;
    block_on(async {
        for (name, store) in stores(&services).await? {
            let own = listed.iter().filter(|(service, _)| *service == name);
            let persons: Vec<PersonId> = own.map(|(_, person)| *person).collect();
            let outcome = store.replay(&persons).await;
            store.close().await;
            outcome.or_environment()?;
            terminal::say(&format!("{name}: {} persons are erased.", persons.len()));
        }
        Ok(())
    })
}

fn line(text: &str) -> anyhow::Result<(&str, PersonId)> {
    let not_one = || anyhow!("a line of an erasure list is a service and a person id");
    let (service, person) = text.split_once(' ').ok_or_else(not_one)?;
    Ok((service, person.trim().parse().map_err(|_| not_one())?))
}

async fn stores(services: &Services) -> Result<Vec<(&'static str, KeyStore)>, Failure> {
    let mut stores = Vec::new();
    if let Some(config) = &services.policy {
        stores.push((policy::NAME, policy::key_store(config).await.or_environment()?));
    }
    if let Some(config) = &services.pharmacy {
        stores.push((pharmacy::NAME, pharmacy::key_store(config).await.or_environment()?));
    }
    Ok(stores)
}
