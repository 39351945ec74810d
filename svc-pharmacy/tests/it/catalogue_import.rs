//! Files of medicines: both headers, dirt, an import that was cut off, and the same file again.

use std::io::Write as _;

use caremesh_svc_pharmacy::import::{Format, Progress, Report};
use caremesh_svc_pharmacy::{Error, import_medications};
use caremesh_testkit::for_each_database;

use crate::common::*;

const HEADER: &str = "product_id,country,source,licence_class,name,generic,strength,form,route,pack,manufacturer,applicant,price,currency,rx,atc,category,reg_no,approved,expires\n";

fn file(content: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(content).expect("its content");
    file
}

async fn import(world: &World, content: &[u8]) -> Result<Report, Error> {
    let file = file(content);
    import_medications(&world.config, file.path(), None, &mut |_: &Progress| {}).await
}

fn rows(count: usize) -> String {
    let row = |n: usize| {
        format!("X-{n},IN,s,l,Brand{n} 5mg Tablet,Generic{n},5mg,Tablet,,,Maker,,12.5,INR,RX,,,,,\n")
    };
    HEADER.to_owned() + &(0..count).map(row).collect::<String>()
}

for_each_database! { with world;
    async fn dirt_is_skipped_by_line_and_the_rest_is_entered(world: World) {
        let mut content = HEADER.as_bytes().to_vec();
        content.extend(b"X-1,IN,s,l,\"Crocin, 500 \"\"mg\"\"\",Paracetamol,500mg,Tablet,,,GSK,,20,INR,OTC,N02BE01,,,,\n");
        content.extend(b"X-2,IN,too,short\n");
        content.extend(b",IN,s,l,No code,,,,,,,,,,,,,,,\n");
        content.extend(b"X-3,IN,s,l,\xff\xfe bad bytes,,,,,,,,,,,,,,,\n");
        content.extend(b"X-4,IN,s,l,,,,,,,,,,,,,,,,\n");
        content.extend(b"X-1,IN,s,l,The same code,,,,,,,,,,,,,,,\n");
        content.extend(b"X-5,IN,s,l,Dear,,,,,,,,free,INR,RX,not-atc,,,,\n");
        let report = import(&world, &content).await.expect("a report");
        let named: Vec<_> = report.named.iter().map(|row| (row.line, row.refusal.to_string())).collect();
        let named: Vec<_> = named.iter().map(|(line, rule)| (*line, rule.as_str())).collect();
        let expected =
            [(3, "line_malformed"), (4, "code_missing"), (5, "line_malformed"), (6, "name_missing"), (7, "code_repeated")];
        assert_eq!(named, expected);
        assert_eq!((report.rows, report.created, report.skipped, report.without_price), (7, 2, 5, 1));
    }

    async fn an_import_that_was_cut_off_is_run_again_and_the_same_file_changes_nothing(world: World) {
        let whole = rows(2_500);
        let cut = &whole[..whole.len() / 2];
        let first = import(&world, cut.as_bytes()).await.expect("half of it");
        assert!(first.created > 1_000 && first.created < 2_500);
        let second = import(&world, whole.as_bytes()).await.expect("all of it");
        assert_eq!(second.created + second.unchanged + second.updated, 2_500);
        assert_eq!(second.skipped, 0);
        let third = import(&world, whole.as_bytes()).await.expect("again");
        assert_eq!((third.created, third.updated, third.unchanged), (0, 0, 2_500));
    }

    async fn the_india_dataset_is_known_by_its_header(world: World) {
        let content = "id,name,price(₹),Is_discontinued,manufacturer_name,type,pack_size_label,short_composition1,short_composition2\n\
            1,Augmentin 625 Duo Tablet,223.42,FALSE,Glaxo SmithKline Pharmaceuticals Ltd,allopathy,strip of 10 tablets,Amoxycillin  (500mg) , Clavulanic Acid (125mg)\n\
            2,Azithral 500 Tablet,132.36,TRUE,Alembic Pharmaceuticals Ltd,allopathy,strip of 5 tablets,Azithromycin (500mg),\n";
        let report = import(&world, content.as_bytes()).await.expect("a report");
        assert_eq!((report.created, report.skipped, report.without_price), (2, 0, 0));
    }

    async fn a_file_that_is_no_catalogue_is_refused_with_the_column_that_is_missing(world: World) {
        let error = import(&world, b"product_id,title\n1,2\n").await.expect_err("not a catalogue");
        assert!(format!("{error}").contains("\"country\""), "{error}");
        let file = file(rows(1).as_bytes());
        let wrong = import_medications(&world.config, file.path(), Some(Format::AzIndia), &mut |_: &Progress| {}).await;
        assert!(wrong.is_err(), "a format that was asked for is kept to");
    }
}
