//! gRPC clients that others wrote, each through the gateway, each with the same trial (`e2e/node/trial.ts`): what one
//! of them can do, all can. Those that live in browsers are tried in `browser.rs`.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use caremesh_e2e::demo::Demo;
use caremesh_e2e::tools;
use serde_json::{Value, json};
use tokio::process::Command;

/// Numbers of gRPC's codes.
const CANCELLED: u64 = 1;
const INVALID_ARGUMENT: u64 = 3;
const DEADLINE_EXCEEDED: u64 = 4;
/// `ServingStatus` of gRPC's health protocol.
const SERVING: u64 = 1;
/// Plans that the demo sells in Nigeria, at least.
const PLANS: u64 = 3;

/// What every client must have seen.
pub(crate) fn assert_trials(trials: &Value, names: &[&str]) {
    let mut seen: Vec<&String> = trials.as_object().expect("trials by client").keys().collect();
    seen.sort();
    assert_eq!(seen, names);
    for name in names {
        assert_trial(name, &trials[name]);
    }
}

fn assert_trial(name: &str, trial: &Value) {
    let at_least = |what: &str, least: u64| {
        assert!(trial[what].as_u64().is_some_and(|it| it >= least), "{name}, {what}: {trial}");
    };
    // `null`: the library cannot do it at all.
    let code = |what: &str, code: u64| {
        let wrong = !trial[what].is_null() && trial[what]["code"] != code;
        assert!(!wrong, "{name}, {what}: {trial}");
    };
    at_least("unary", PLANS);
    at_least("signed", 1);
    at_least("bigMetadata", PLANS);
    at_least("afterwards", PLANS);
    code("details", INVALID_ARGUMENT);
    code("deadline", DEADLINE_EXCEEDED);
    code("cancelled", CANCELLED);
    assert_eq!(trial["details"]["reason"], "FIELD_INVALID", "{name}: {trial}");
    assert_eq!(trial["details"]["fields"][0], "member_id", "{name}: {trial}");
    assert_ne!(trial["tooBigMetadata"]["code"], 0, "{name}: {trial}");
    assert!(trial["stream"].is_null() || trial["stream"] == SERVING, "{name}: {trial}");
    assert!(trial["compressed"].is_null() || trial["compressed"] == trial["unary"], "{name}: {trial}");
}

async fn order(demo: &Demo) -> Result<Value> {
    Ok(json!({
        "port": demo.gateway_port,
        "authority": demo.authority(),
        "token": demo.token("ngozi").await?,
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_js_and_connect_node_call_stream_cancel_and_compress() -> Result<()> {
    let (Some(node), Some(_)) = (tools::node(), tools::typescript_client()) else { return Ok(()) };
    let demo = Demo::start(&[]).await?;
    let seen = run_in_node(&node, &order(&demo).await?)
        .await
        .with_context(|| demo.program.said().unwrap_or_default())?;
    let connect =
        ["connect-node, gRPC", "connect-node, grpc-web, HTTP/1.1", "connect-node, grpc-web, HTTP/2"];
    assert_trials(&seen, &[&connect[..], &["grpc-js"]].concat());
    for (name, trial) in seen.as_object().context("trials")? {
        assert!(!trial["stream"].is_null() && !trial["compressed"].is_null(), "{name} can do all: {trial}");
    }
    Ok(())
}

async fn run_in_node(node: &Path, order: &Value) -> Result<Value> {
    let folder = tools::root().join("e2e").join("node");
    // grpc-js is CommonJS and finds its parts at run time.
    let options = ["--platform=node", "--external:@grpc/grpc-js"];
    let script = tools::bundle(&folder, "main.ts", &options).await?;
    let path = folder.join("dist").join("main.mjs");
    std::fs::create_dir_all(folder.join("dist"))?;
    std::fs::write(&path, script)?;
    tools::run_node(node, &path, &[], order).await
}

#[tokio::test(flavor = "multi_thread")]
async fn grpcio_calls_streams_cancels_and_compresses() -> Result<()> {
    let (Some(python), Some(client)) = (tools::python(), tools::python_client()) else { return Ok(()) };
    let demo = Demo::start(&[]).await?;
    let mut order = order(&demo).await?;
    order["client"] = client.display().to_string().into();
    let script = tools::root().join("e2e").join("python").join("trial.py");
    let output = Command::new(python).arg(script).arg(order.to_string()).kill_on_drop(true).output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_trial("grpcio", &serde_json::from_slice(&output.stdout)?);
    Ok(())
}
