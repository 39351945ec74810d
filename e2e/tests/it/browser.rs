//! A real browser: signs a person in at the demo issuer, then runs the generated TypeScript client
//! against the gateway over grpc-web, from another origin.

use std::path::Path;

use anyhow::{Context, Result};
use caremesh_e2e::demo::Demo;
use caremesh_e2e::program::free_ports;
use caremesh_e2e::tools::{self, bundle};
use serde_json::{Value, json};

use crate::clients::assert_trials;
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
    assert_trials(&seen["trials"], &["connect-web", "grpc-web, binary", "grpc-web, text"]);
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
        "script": bundle(&web, "page.ts", &[]).await?,
        "issuer": format!("https://localhost:{}", demo.issuer_port),
        "client": "e2e",
        "person": "Ngozi Okafor",
        "screenshot": tools::root().join("target").join("sign-in.png"),
        "scene": scene(demo, &format!("https://localhost:{}", demo.gateway_port)).await?,
    });
    let authority = [("NODE_EXTRA_CA_CERTS", demo.authority())];
    tools::run_node(node, &web.join("drive.mjs"), &authority, &order)
        .await
        .with_context(|| demo.program.said().unwrap_or_default())
}
