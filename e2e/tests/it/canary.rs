//! A name, a telephone number and a diagnosis that exist nowhere else are put in through every door;
//! afterwards nothing that operators, attackers of a backup or other callers can read holds them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use caremesh_e2e::separate::Separate;
use caremesh_e2e::story::{Family, signed};
use caremesh_e2e::tools;
use caremesh_proto::policy::v1::person_service_client::PersonServiceClient;
use caremesh_proto::policy::v1::policy_service_client::PolicyServiceClient;
use caremesh_proto::policy::v1::{
    AdministrativeGender, CreatePersonRequest, CreateQuoteRequest, PersonProfile, ProposedMember, Relation,
};
use caremesh_proto::r#type::v1::{Address, Coding, ContactPoint, ContactPointSystem, Date};
use caremesh_testkit::database::{Cluster, Durability};
use caremesh_testkit::otlp::OtlpReceiver;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

const NAME: &str = "Zebulonkanari Qwertuvogel";
const PHONE: &str = "+2347019283746";
const STREET: &str = "17 Kanarienvogelweg";
const DIAGNOSIS: &str = "Q87.19";
const DIAGNOSIS_TEXT: &str = "kanariose of the left elbow";

/// What must be nowhere. The phone number also without its plus sign.
const CANARIES: [&str; 6] =
    ["Zebulonkanari", "Qwertuvogel", "2347019283746", "Kanarienvogelweg", DIAGNOSIS, DIAGNOSIS_TEXT];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_personal_or_medical_can_be_read_anywhere_on_sqlite() -> Result<()> {
    let receiver = OtlpReceiver::start().await?;
    let mesh = start("sqlite://{folder}/policy.db", &receiver).await?;
    let folder = mesh.folder();
    sing_and_search(mesh, &receiver, &folder).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_personal_or_medical_can_be_read_anywhere_on_postgresql() -> Result<()> {
    let Some(cluster) = Cluster::start(Durability::Full)? else {
        tools::skip("PostgreSQL", "run `make setup`");
        return Ok(());
    };
    let receiver = OtlpReceiver::start().await?;
    let mesh = start(cluster.url(), &receiver).await?;
    sing_and_search(mesh, &receiver, &cluster.socket_folder().join("data")).await
}

async fn start(database_url: &str, receiver: &OtlpReceiver) -> Result<Separate> {
    let everything = [
        ("CAREMESH_TELEMETRY__OTLP_ENDPOINT", receiver.endpoint()),
        ("CAREMESH_TELEMETRY__SAMPLE_PER_MILLION", "1000000".to_owned()),
        ("CAREMESH_TELEMETRY__LOG", "debug".to_owned()),
    ];
    let mut mesh = Separate::start(database_url, &everything).await?;
    mesh.load_demo().await?;
    Ok(mesh)
}

async fn sing_and_search(mut mesh: Separate, receiver: &OtlpReceiver, database: &Path) -> Result<()> {
    let family = Family::find(mesh.channel()?, mesh.token("ngozi")?, mesh.token("tunde")?).await?;
    let (person_id, errors) = sing(&mesh, &family).await?;
    let metrics = format!("{}{}", metrics(&mesh, 0).await?, metrics(&mesh, 1).await?);
    // A clean stop writes everything out: spans, log lines, the database's own files.
    mesh.gateway.stop().await?;
    mesh.policy.stop().await?;

    ensure!(metrics.contains("rpc_server_call_duration"), "the metrics were not read: {metrics}");
    ensure!(receiver.spans().len() > 10, "the spans were not received");
    let mut found = Vec::new();
    search(&mut found, "an error message", errors.as_bytes());
    search(&mut found, "a metric", metrics.as_bytes());
    search(&mut found, "a span", format!("{:?}", receiver.spans()).as_bytes());
    for words in mesh.words() {
        search(&mut found, "a log line", &std::fs::read(words)?);
    }
    let mut person_seen = false;
    for file in files(database)? {
        let bytes = std::fs::read(&file)?;
        person_seen |= contains(&bytes, person_id.as_bytes());
        search(&mut found, &file.display().to_string(), &bytes);
    }
    ensure!(person_seen, "the person's id is in no file of {}: not the database", database.display());
    ensure!(found.is_empty(), "{found:#?}");
    Ok(())
}

/// Puts the canaries in through every call that takes such data, and provokes errors with them.
async fn sing(mesh: &Separate, family: &Family) -> Result<(String, String)> {
    let mut errors = String::new();
    let mut people = PersonServiceClient::new(mesh.channel()?);
    let entered = people.create_person(signed(enter(), &family.holder)?).await?.into_inner();
    let person_id = entered.person.context("a person")?.person_id;

    let mut broken = enter();
    if let Some(profile) = &mut broken.profile {
        profile.language_tag = NAME.repeat(3);
    }
    refused(&mut errors, people.create_person(signed(broken, &family.holder)?).await)?;
    refused(&mut errors, people.create_person(signed(enter(), &family.officer)?).await)?;
    let mut reused = enter();
    reused.managed = false;
    refused(&mut errors, people.create_person(signed(reused, &family.holder)?).await)?;

    let mut policies = PolicyServiceClient::new(mesh.channel()?);
    let quote = quote(family, &person_id)?;
    policies.create_quote(signed(quote.clone(), &family.holder)?).await?;
    // Again: an answer out of the idempotency table.
    policies.create_quote(signed(quote.clone(), &family.holder)?).await?;
    let mut other = quote;
    other.instalment_count = 2;
    refused(&mut errors, policies.create_quote(signed(other, &family.holder)?).await)?;

    let mut event = family.visit()?;
    event.conditions = vec![diagnosis()];
    let price = family.price(&event, 250_000).await?;
    family.post(&Family::spending(&event, price)).await?;
    event.conditions[0].code = DIAGNOSIS.repeat(50);
    refused(&mut errors, family.price(&event, 250_000).await.map(tonic::Response::new))?;
    Ok((person_id, errors))
}

/// Fixed, so that the second time is the same request.
const ENTER: Uuid = Uuid::from_u128(0x00c0_ffee_0000_4000_8000_0000_0000_0001);

fn enter() -> CreatePersonRequest {
    CreatePersonRequest {
        request_id: ENTER.to_string(),
        profile: Some(PersonProfile {
            full_name: NAME.to_owned(),
            birth_date: Some(Date { year: 1999, month: 2, day: 28 }),
            gender: AdministrativeGender::Other.into(),
            contact_points: vec![ContactPoint {
                system: ContactPointSystem::Phone.into(),
                value: PHONE.to_owned(),
            }],
            address: Some(Address {
                lines: vec![STREET.to_owned()],
                city: "Lagos".to_owned(),
                country_code: "NG".to_owned(),
                ..Address::default()
            }),
            ..PersonProfile::default()
        }),
        managed: true,
    }
}

fn diagnosis() -> Coding {
    Coding {
        system: "http://hl7.org/fhir/sid/icd-10".to_owned(),
        code: DIAGNOSIS.to_owned(),
        display: DIAGNOSIS_TEXT.to_owned(),
    }
}

/// A quote for the holder and the canary, as a sibling who has the diagnosis.
fn quote(family: &Family, person_id: &str) -> Result<CreateQuoteRequest> {
    let policy = &family.policy;
    let segment = policy.terms.first().and_then(|term| term.segments.first()).context("a term")?;
    let holder = policy.members.first().context("a member")?;
    let member = |person_id: &str, relation: Relation, conditions| ProposedMember {
        person_id: person_id.to_owned(),
        relation: relation.into(),
        declared_conditions: conditions,
    };
    Ok(CreateQuoteRequest {
        request_id: Uuid::from_u128(ENTER.as_u128() + 1).to_string(),
        plan_version_id: segment.plan_version_id.clone(),
        sum_insured: segment.sum_insured.clone(),
        policyholder_person_id: policy.policyholder_person_id.clone(),
        members: vec![
            member(&holder.person_id, Relation::Self_, Vec::new()),
            member(person_id, Relation::Spouse, vec![diagnosis()]),
        ],
        start_date: Some(family.first_day()?),
        ..CreateQuoteRequest::default()
    })
}

fn refused<T>(errors: &mut String, outcome: Result<tonic::Response<T>, tonic::Status>) -> Result<()> {
    let status = outcome.err().context("this call must be refused")?;
    errors.push_str(&format!("{status:?} {} {:?}\n", status.message(), status.metadata()));
    errors.push_str(&String::from_utf8_lossy(status.details()));
    Ok(())
}

async fn metrics(mesh: &Separate, which: usize) -> Result<String> {
    let mut stream = TcpStream::connect(mesh.admin()[which]).await?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

fn search(found: &mut Vec<String>, place: &str, bytes: &[u8]) {
    for canary in CANARIES {
        if contains(bytes, canary.as_bytes()) {
            found.push(format!("{canary:?} in {place}"));
        }
    }
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            all.extend(files(&path)?);
        } else if path.is_file() {
            all.push(path);
        }
    }
    Ok(all)
}

#[test]
fn the_search_finds_what_is_there() {
    let mut found = Vec::new();
    search(&mut found, "here", format!("…{NAME} {PHONE} {DIAGNOSIS}…").as_bytes());
    assert_eq!(found.len(), 4, "{found:?}");
}
