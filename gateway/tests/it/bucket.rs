//! A server that speaks S3 over a folder and checks signatures, as a bucket of one's own would.

use std::path::Path;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const NAME: &str = "documents";
const ACCESS_KEY: &str = "caremesh-gateway";
const SECRET_KEY: &str = "a secret of the test";

/// A running server with one bucket.
pub(crate) struct Bucket {
    endpoint: String,
    serving: JoinHandle<()>,
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Bucket {
    /// Serves a bucket whose objects are files below `root`.
    pub(crate) async fn start(root: &Path) -> Self {
        std::fs::create_dir_all(root.join(NAME)).expect("made");
        let mut service = S3ServiceBuilder::new(FileSystem::new(root).expect("a folder"));
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    // Errors are those of a client that went away.
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { endpoint, serving }
    }

    /// What the gateway is told of it; its secret goes into `folder`.
    pub(crate) fn settings(&self, folder: &Path) -> Value {
        let secret = folder.join("secret");
        std::fs::write(&secret, SECRET_KEY).expect("written");
        json!({ "s3": {
            "bucket": NAME,
            "region": "eu-central-1",
            "endpoint": self.endpoint,
            "prefix": "gateway",
            "access_key_id": ACCESS_KEY,
            "secret_access_key_file": secret,
        }})
    }
}
