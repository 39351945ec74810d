//! Real data that lies beside the project, where it does: the documents that a pharmacist meets, and interaction data of the
//! size that a tenant loads. Where it is absent these tests say so; the others stand on fixtures of their own.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use caremesh_proto::pharmacy::v1::*;
use caremesh_testkit::for_each_database;
use flate2::read::GzDecoder;

use crate::common::*;
use crate::prescriptions::{id_of, patient};

#[expect(clippy::disallowed_methods, reason = "where the shared data lies is told by environment")]
fn folder(part: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let named = std::env::var_os("CAREMESH_SHARED_DATA").map(PathBuf::from);
    let found = named.or(Some(beside)).map(|folder| folder.join(part)).filter(|folder| folder.is_dir());
    if found.is_none() {
        // On the real standard error: a skip that nobody sees is a pass that proves nothing.
        drop(writeln!(
            std::io::stderr(),
            "SKIPPED: no shared data here; set CAREMESH_SHARED_DATA to its folder"
        ));
    }
    found
}

fn kind_of(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("jpg") => "image/jpeg",
        Some("png") => "image/png",
        _ => "application/pdf",
    }
}

for_each_database! { with world;
    async fn real_documents_are_taken_and_broken_ones_named(world: World) {
        let Some(folder) = folder("documents") else { return };
        let patient = patient();
        let broken = [
            ("bad_empty.pdf", "DOCUMENT_EMPTY"),
            ("bad_html_named.jpg", "DOCUMENT_TYPE_UNSUPPORTED"),
            ("bad_png_named.pdf", "DOCUMENT_TYPE_MISMATCH"),
            ("bad_truncated.jpg", "DOCUMENT_DAMAGED"),
        ];
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("a file").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if name.ends_with(".json") {
                continue;
            }
            let bytes = std::fs::read(&path).expect("a document");
            let answer = world.sent(&patient, kind_of(&name), &bytes, &bytes).await;
            let expected = broken.iter().find(|(broken, _)| *broken == name).map(|(_, reason)| *reason);
            match (answer, expected) {
                (Ok(rx), None) => assert_eq!(rx.state(), PrescriptionState::Uploaded, "{name}"),
                (Err(status), Some(expected)) => assert_eq!(reason(&status), expected, "{name}"),
                (answer, expected) => panic!("{name}: {answer:?}, not {expected:?}"),
            }
            seen += 1;
        }
        assert_eq!(seen, 24);
    }

    async fn real_interaction_data_is_loaded_and_found(world: World) {
        let Some(folder) = folder("reference") else { return };
        let files = ["ddi_ansm_en.csv.gz", "drug_classes_ansm.csv.gz", "ddi_onc_high_priority.csv.gz", "allergy_classes.csv"];
        for file in files {
            let bytes = std::fs::read(folder.join(file)).expect("a file");
            let mut text = String::new();
            match file.ends_with(".gz") {
                true => GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).map(drop),
                false => bytes.as_slice().read_to_string(&mut text).map(drop),
            }
            .expect("a text");
            let report = world.load(&text).await.expect("a file of reference data");
            assert!(report.skipped * 50 < report.rows, "{file}: {report:?}");
        }
        let patient = patient();
        world.declare(&patient, &["Penicillin"], &["Acenocoumarol"], (1970, 1, 1)).await;
        let check = |name: &str| CheckSafetyRequest {
            patient_person_id: id_of(&patient),
            prescription_id: String::new(),
            medicines: vec![CheckedMedicine { generic_name: name.to_owned(), atc_code: String::new() }],
        };
        let mut client = world.safety(&patient);
        let miconazole = client.check_safety(check("Miconazole")).await.expect("a check").into_inner().check.expect("it");
        assert!(miconazole.blocked, "with an oral anticoagulant: {miconazole:?}");
        assert!(!miconazole.issues[0].effect.is_empty() && miconazole.issues[0].source == "ANSM");
        let amoxicillin = CheckSafetyRequest {
            medicines: vec![CheckedMedicine { generic_name: "Amoxicillin".to_owned(), atc_code: "J01CA04".to_owned() }],
            ..check("")
        };
        let amoxicillin = client.check_safety(amoxicillin).await.expect("a check").into_inner().check.expect("it");
        assert!(amoxicillin.issues.iter().any(|issue| issue.kind() == IssueKind::Allergy), "{amoxicillin:?}");
    }
}
