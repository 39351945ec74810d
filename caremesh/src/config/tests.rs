//! What a person sees who sets something wrong. Must not know real components.

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Policy {
    database_url: String,
    port: u16,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    limits: Limits,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Limits {
    rate: Option<u32>,
}

fn sources(file: &str, variables: &[(&str, &str)]) -> Result<Sources> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("caremesh.toml");
    std::fs::write(&path, file).expect("written");
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let sources = Sources::read(Some(&path), variables)?;
    // Forces the lazy file reading before the folder goes.
    sources.refuse_unknown_components()?;
    Ok(sources)
}

fn policy(sources: &Sources) -> Result<Policy> {
    sources.component("policy", &serde_json::json!({ "database_url": "sqlite:default", "port": 1 }))
}

fn refusal(file: &str, variables: &[(&str, &str)]) -> String {
    let outcome = sources(file, variables).and_then(|sources| policy(&sources));
    format!("{:#}", outcome.expect_err("refused"))
}

#[test]
fn defaults_lie_below_the_file_below_the_environment_below_flags() {
    let with = |file, variables: &[(&str, &str)]| sources(file, variables).expect("readable");
    let file = "[policy]\nport = 2";
    let variable = [("CAREMESH_POLICY__PORT", "3")];
    assert_eq!(policy(&with("", &[])).expect("set").port, 1);
    assert_eq!(policy(&with(file, &[])).expect("set").port, 2);
    assert_eq!(policy(&with(file, &variable)).expect("set").port, 3);
    let flagged = with(file, &variable).with_flag("policy.port", 4).expect("a known component");
    assert_eq!(policy(&flagged).expect("set").port, 4);
}

#[test]
fn an_unknown_setting_is_named_with_the_place_it_came_from() {
    let in_file = refusal("[policy]\nprot = 2", &[]);
    assert!(in_file.contains("policy.prot") && in_file.contains("caremesh.toml"), "{in_file}");
    let in_environment = refusal("", &[("CAREMESH_POLICY__LIMITS__RAET", "2")]);
    assert!(in_environment.contains("CAREMESH_POLICY__LIMITS__RAET"), "{in_environment}");
    assert!(in_environment.contains("there are: rate"), "{in_environment}");
}

#[test]
fn an_unknown_component_is_named() {
    let error = refusal("", &[("CAREMESH_POLCY__PORT", "2")]);
    assert!(error.contains("\"polcy\"") && error.contains("policy"), "{error}");
}

#[test]
fn a_wrong_value_is_never_shown() {
    let error = refusal("", &[("CAREMESH_POLICY__PORT", "hunter2")]);
    assert!(error.contains("CAREMESH_POLICY__PORT") && error.contains("u16"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_secret_can_come_from_a_file_and_not_from_both() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("url");
    std::fs::write(&path, "postgres://u:12345@db/policy\n").expect("written");
    let file = ("CAREMESH_POLICY__DATABASE_URL_FILE", path.to_str().expect("text"));
    let read = policy(&sources("", &[file]).expect("readable")).expect("set");
    assert_eq!(read.database_url, "postgres://u:12345@db/policy");
    let both = refusal("", &[file, ("CAREMESH_POLICY__DATABASE_URL", "sqlite:x")]);
    assert!(both.contains("policy.database_url is given twice"), "{both}");
}

#[test]
fn a_missing_secret_file_is_named() {
    let error = refusal("", &[("CAREMESH_POLICY__DATABASE_URL_FILE", "/nowhere/url")]);
    assert!(error.contains("DATABASE_URL_FILE") && error.contains("/nowhere/url"), "{error}");
}

#[test]
fn text_of_digits_stays_text_and_lists_are_written_as_in_toml() {
    let variables =
        [("CAREMESH_POLICY__DATABASE_URL", "12345"), ("CAREMESH_POLICY__HOSTS", "[\"a\", \"b\"]")];
    let read = policy(&sources("", &variables).expect("readable")).expect("set");
    assert_eq!((read.database_url.as_str(), read.hosts.len()), ("12345", 2));
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nested {
    server: Server,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    listen: String,
    admin_listen: String,
}

#[test]
fn a_short_name_stands_for_the_whole_one_and_leaves_its_neighbours_alone() {
    let read = sources("", &[("CAREMESH_POLICY__LISTEN", "127.0.0.1:1")]).expect("readable");
    let defaults = serde_json::json!({ "server": { "listen": "default", "admin_listen": "default" } });
    let server = read.component::<Nested>("policy", &defaults).expect("set").server;
    assert_eq!((server.listen.as_str(), server.admin_listen.as_str()), ("127.0.0.1:1", "default"));
    let flagged = read.with_flag("policy.admin_listen", "127.0.0.1:2").expect("a known component");
    let server = flagged.component::<Nested>("policy", &defaults).expect("set").server;
    assert_eq!((server.listen.as_str(), server.admin_listen.as_str()), ("127.0.0.1:1", "127.0.0.1:2"));
}

#[test]
fn a_flag_for_an_unknown_component_is_refused_too() {
    let error = sources("", &[]).expect("readable").with_flag("polcy.port", 4).err().expect("refused");
    assert!(error.to_string().contains("\"polcy\""), "{error}");
}
