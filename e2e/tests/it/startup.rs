//! What a person at a shell sees of `caremesh up`: it starts once, loads the demo once, and says what
//! is wrong when it cannot.

use anyhow::{Context, Result};
use caremesh_e2e::demo::Demo;
use caremesh_e2e::program::{free_ports, run};
use caremesh_e2e::story::Family;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_changes_nothing() -> Result<()> {
    let mut demo = Demo::start(&[]).await?;
    let family = async |demo: &Demo| {
        let (holder, officer) = (demo.token("ngozi").await?, demo.token("tunde").await?);
        Family::find(demo.channel()?, holder, officer).await
    };
    let before = family(&demo).await?.policy;
    let stopped = demo.program.stop().await?;
    assert!(stopped.success(), "SIGTERM is a normal end: {stopped}");
    demo.restart().await?;
    let after = family(&demo).await?.policy;
    assert_eq!(before.policy_id, after.policy_id);
    assert_eq!(before.etag, after.etag);
    assert_eq!(before.receipts.len(), after.receipts.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_broke_off_goes_on_where_it_was() -> Result<()> {
    let mut demo = Demo::start(&[]).await?;
    demo.program.stop().await?;
    // As after a crash before the mark was written.
    std::fs::remove_file(demo.data().join("demo-loaded"))?;
    std::fs::remove_file(demo.data().join("person-ids.json"))?;
    demo.restart().await?;
    let (holder, officer) = (demo.token("ngozi").await?, demo.token("tunde").await?);
    let family = Family::find(demo.channel()?, holder, officer).await?;
    assert_eq!(family.policy.members.len(), 5);
    assert_eq!(family.policy.receipts.len(), 1, "one payment, one receipt");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_all_that_the_token_command_prints() -> Result<()> {
    let demo = Demo::start(&[]).await?;
    let output = demo.run(&["token", "--as", "ngozi"]).await?;
    let printed = String::from_utf8(output.stdout)?;
    assert_eq!(printed.lines().count(), 1, "{printed}");
    assert_eq!(printed.trim().split('.').count(), 3, "{printed}");

    let unknown = demo.run(&["token", "--as", "nobody"]).await?;
    assert_eq!(unknown.status.code(), Some(2));
    assert!(unknown.stdout.is_empty());
    assert!(String::from_utf8(unknown.stderr)?.contains("ngozi"), "the names there are");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_nothing_wrong_with_the_demo() -> Result<()> {
    let mut demo = Demo::start(&[]).await?;
    demo.program.stop().await?;
    for what in ["ledger", "audit"] {
        let output = demo.run(&["verify", what]).await?;
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_setting_that_chooses_another() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let held = std::net::TcpListener::bind("127.0.0.1:0")?;
    let taken = held.local_addr()?;
    let data = folder.path().join("data").display().to_string();
    for setting in ["issuer.listen", "gateway.listen", "policy.listen", "pharmacy.listen"] {
        let [a, b, c, d, e] = free_ports()?;
        let free = [
            format!("gateway.listen=127.0.0.1:{a}"),
            format!("gateway.admin_listen=127.0.0.1:{b}"),
            format!("policy.listen=127.0.0.1:{c}"),
            "policy.admin_listen=127.0.0.1:0".to_owned(),
            format!("pharmacy.listen=127.0.0.1:{e}"),
            "pharmacy.admin_listen=127.0.0.1:0".to_owned(),
            format!("issuer.listen=127.0.0.1:{d}"),
            format!("{setting}={taken}"),
        ];
        let mut arguments = vec!["up", "--data", &data];
        arguments.extend(free.iter().flat_map(|it| ["--set", it.as_str()]));
        let output = run(&arguments, &[]).await?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(&taken.to_string()) && said.contains(setting), "{setting}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn settings_that_nobody_can_mean_are_refused_before_anything_starts() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data").display().to_string();
    for (setting, named) in [
        ("gateway.listen=0.0.0.0:8443", "loopback"),
        ("gateway.lisen=127.0.0.1:1", "gateway.lisen"),
        ("gatway.listen=127.0.0.1:1", "gatway"),
        ("issuer.listen=192.0.2.1:1", "issuer.listen"),
    ] {
        let output = run(&["up", "--data", &data, "--set", setting], &[]).await?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(named), "{setting}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn demo_data_is_never_put_beside_other_data() -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("policy.db"), "real")?;
    let data = folder.path().to_str().context("text")?;
    let output = run(&["up", "--data", data], &[]).await?;
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8(output.stderr)?.contains("demo"));
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 1, "nothing was written");
    Ok(())
}
