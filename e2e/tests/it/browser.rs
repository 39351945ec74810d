//! A real browser: signs a person in at the demo issuer, then runs the generated TypeScript client
//! against the gateway over grpc-web, from another origin.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use caremesh_e2e::demo::Demo;
use caremesh_e2e::program::free_ports;
use caremesh_e2e::tools;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::python::{assert_story, scene};

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_signs_in_buys_cover_prices_and_spends_over_grpc_web() -> Result<()> {
    let (Some(node), Some(chromium), Some(_)) =
        (tools::node(), tools::chromium(), tools::typescript_client())
    else {
        return Ok(());
    };
    let [page_port] = free_ports()?;
    let origin = format!("http://127.0.0.1:{page_port}");
    let client = format!(
        "[{{client_id = \"e2e\", name = \"End-to-end test\", redirect_uris = [\"{origin}/callback\"]}}]"
    );
    let demo = Demo::start(&[
        ("CAREMESH_ISSUER__CLIENTS", client),
        ("CAREMESH_GATEWAY__ALLOWED_ORIGINS", format!("[\"{origin}\"]")),
    ])
    .await?;
    let seen = drive(&demo, &node, &chromium, page_port).await?;

    assert_eq!(seen["signedIn"]["name"], "Ngozi Okafor", "{seen}");
    assert_eq!(seen["signedIn"]["refreshed"], true);
    assert_eq!(seen["signedIn"]["landmarks"], 1);
    assert_story(&seen["story"])?;
    assert_refusals(&seen["refusals"]);
    Ok(())
}

fn assert_refusals(refusals: &Value) {
    // Codes by number: Connect's are gRPC's.
    assert_eq!(refusals["brokenField"]["code"], 3, "{refusals}");
    assert_eq!(refusals["brokenField"]["reason"], "FIELD_INVALID", "{refusals}");
    assert_eq!(refusals["brokenField"]["fields"][0]["field"], "member_id", "{refusals}");
    assert_eq!(refusals["noCredentials"]["code"], 16, "{refusals}");
    assert_eq!(refusals["noCredentials"]["reason"], "CREDENTIALS_MISSING", "{refusals}");
    assert_eq!(refusals["noRole"]["code"], 7, "{refusals}");
    assert_eq!(refusals["tooLate"]["code"], 4, "{refusals}");
    // The server's own answer to an expired deadline is readable from another origin.
    assert_eq!(refusals["tooLateAtTheServer"]["http"], 200, "{refusals}");
    assert_eq!(refusals["tooLateAtTheServer"]["grpcStatus"], "4", "{refusals}");
}

async fn drive(demo: &Demo, node: &Path, chromium: &Path, page_port: u16) -> Result<Value> {
    let web = tools::root().join("e2e").join("web");
    let order = json!({
        "chromium": chromium,
        "pagePort": page_port,
        "script": bundle(&web).await?,
        "issuer": format!("https://localhost:{}", demo.issuer_port),
        "client": "e2e",
        "person": "Ngozi Okafor",
        "screenshot": tools::root().join("target").join("sign-in.png"),
        "scene": scene(demo, &format!("https://localhost:{}", demo.gateway_port)).await?,
    });
    let mut driver = Command::new(node)
        .arg("drive.mjs")
        .current_dir(&web)
        .env("NODE_EXTRA_CA_CERTS", demo.authority())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    // By standard input: the bundled page is too long for an argument.
    let mut stdin = driver.stdin.take().context("a standard input")?;
    stdin.write_all(order.to_string().as_bytes()).await?;
    drop(stdin);
    let output = driver.wait_with_output().await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{said}\n{}", demo.program.said()?);
    serde_json::from_slice(&output.stdout).with_context(|| said)
}

async fn bundle(web: &Path) -> Result<String> {
    let esbuild = tools::root().join("clients/ts/node_modules/.bin/esbuild");
    let output = Command::new(esbuild)
        .args(["page.ts", "--bundle", "--format=esm", "--log-level=warning"])
        // The page lives outside the client's package and uses the same runtime as the client.
        .env("NODE_PATH", tools::root().join("clients/ts/node_modules"))
        .current_dir(web)
        .output()
        .await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
