//! Opens the store that the configuration names: a folder, or a bucket that speaks S3.
//! Must not know documents.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, ObjectStore, RetryConfig};

use super::vault::VaultError;
use crate::config::{DocumentStore, DocumentsConfig, S3Store};

/// How long one request to a bucket may take; a piece has 256 KiB.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// How long connecting to it may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a request to it is repeated, and for how long: a person waits.
const RETRIES: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);

/// The store.
///
/// # Errors
/// A folder that is none, a bucket without what is needed to reach it. Nothing is sent.
pub(super) fn open(config: &DocumentsConfig) -> Result<Arc<dyn ObjectStore>, VaultError> {
    match &config.store {
        DocumentStore::Folder(folder) => {
            let unusable = |source| VaultError::Folder { path: folder.clone(), source };
            let store = LocalFileSystem::new_with_prefix(folder).map_err(unusable)?;
            Ok(Arc::new(store.with_fsync(true)))
        }
        DocumentStore::S3(s3) => bucket(s3),
    }
}

fn bucket(s3: &S3Store) -> Result<Arc<dyn ObjectStore>, VaultError> {
    let unusable = |source| VaultError::Bucket { bucket: s3.bucket.clone(), source };
    // Credentials come from where every program on AWS finds them (the environment, the pod's or the
    // machine's role), where they are rotated; a server that is not AWS's has a key of its own.
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(&s3.bucket);
    if let Some(region) = &s3.region {
        builder = builder.with_region(region);
    }
    if let (Some(id), Some(file)) = (&s3.access_key_id, &s3.secret_access_key_file) {
        let secret = std::fs::read_to_string(file);
        let secret = secret.map_err(|source| VaultError::KeyFile { path: file.clone(), source })?;
        builder = builder.with_access_key_id(id).with_secret_access_key(secret.trim());
    }
    let mut client = ClientOptions::new().with_timeout(REQUEST_TIMEOUT).with_connect_timeout(CONNECT_TIMEOUT);
    if let Some(endpoint) = &s3.endpoint {
        client = client.with_allow_http(endpoint.starts_with("http://"));
        builder = builder.with_endpoint(endpoint);
    }
    let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
    let store = builder.with_client_options(client).with_retry(retry).build().map_err(unusable)?;
    Ok(match &s3.prefix {
        Some(prefix) => Arc::new(PrefixStore::new(store, prefix.as_str())),
        None => Arc::new(store),
    })
}
