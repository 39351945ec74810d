//! Plan files: what is refused names file, path and rule; and the digest that guards a published version (INV-P4).

use caremesh_kernel::Date;

use super::*;

const FLOATER: &str = include_str!("../../../plans/in-family-floater.toml");
const INDIA: &str = include_str!("../../../plans/jurisdictions/in.toml");

fn refused(text: &str) -> PlanError {
    PlanVersion::from_toml("plan.toml", text).unwrap_err()
}

/// The floater with one text replaced; panics where the text is not there.
fn with(old: &str, new: &str) -> String {
    assert!(FLOATER.contains(old), "{old:?} is not in the file");
    FLOATER.replacen(old, new, 1)
}

#[test]
fn a_broken_rule_is_named_with_its_path() {
    let cases = [
        ("share_bps = 4_000", "share_bps = 3_999", "carriers", "9999 basis points"),
        ("leads = true", "leads = false", "carriers", "exactly one carrier leads"),
        ("code = \"IN-FAMILY-FLOATER\"", "code = \"in family\"", "code", "upper-case"),
        (
            "pools = [[\"SUM_INSURED\"]]",
            "pools = [[\"NOWHERE\"]]",
            "expansions[0].pools",
            "no account \"NOWHERE\"",
        ),
        (
            "pools = [[\"SUM_INSURED\"]]",
            "pools = [[\"CONSULTATIONS\"]]",
            "expansions[0].pools",
            "measures COUNT",
        ),
        ("pools = [[\"SUM_INSURED\"]]", "pools = [[]]", "expansions[0].pools", "at least one"),
        ("id = \"CONSULTATION\"", "id = \"HOSPITAL\"", "id", "names two rules"),
        (
            "basis = \"PLAN_PAID\"",
            "basis = \"AFTER_DEDUCTIBLE\"",
            "sublimits[5].account",
            "measures PLAN_PAID",
        ),
        (
            "min_age = 61, events = [\"ADMISSION\"] }\nbps = 2_000",
            "min_age = 61 }",
            "copays[0]",
            "exactly one of",
        ),
        ("days = 30", "days = 30\nmonths = 1", "waiting[0]", "exactly one of days and months"),
        (
            "sums_insured_minor = [5_00_000_00,",
            "sums_insured_minor = [99_00_000_00,",
            "sums_insured_minor",
            "ascending",
        ),
        ("{ from = 18, to = 35 }", "{ from = 17, to = 35 }", "premium.members[1]", "overlaps"),
        ("max_members = 10", "max_members = 0", "family", "min_members"),
        ("when = { conditions = [\"Z41.1\"] }", "when = {}", "exclusions[0].when", "exclude everything"),
        (
            "limit = { AMOUNT = 20 }",
            "limit = \"SUM_INSURED\"",
            "accounts[3].limit",
            "no share of a sum insured",
        ),
        (
            "when = { benefits = [\"CATARACT\"] }",
            "when = { benefits = [\"CATERACT\"] }",
            "CATARACT_60000.when.benefits",
            "not one of",
        ),
        ("months_apart = 6", "months_apart = 12", "premium.instalments[1]", "within the term"),
    ];
    for (old, new, path, rule) in cases {
        let error = refused(&with(old, new));
        assert_eq!((error.file.as_str(), error.path.as_str()), ("plan.toml", path), "{old} → {new}: {error}");
        assert!(error.rule.contains(rule), "{old} → {new}: {error}");
    }
}

#[test]
fn an_unknown_field_is_refused_with_its_line() {
    let error = refused(&with("label = ", "lable = "));
    assert!(error.path.starts_with("line "), "{error}");
    assert!(error.rule.contains("lable"), "{error}");
}

#[test]
fn steps_must_be_complete_and_in_an_order_that_has_a_meaning() {
    let steps = |list: &[Step]| {
        let names: Vec<_> = list.iter().map(|step| format!("\"{}\"", step.name())).collect();
        with("crossing_rule", &format!("steps = [{}]\ncrossing_rule", names.join(", ")))
    };
    let mut order = Step::DEFAULT_ORDER.to_vec();
    order.swap(5, 6);
    assert!(PlanVersion::from_toml("plan.toml", &steps(&order)).is_ok(), "co-pay before deductible");
    order.swap(7, 10);
    assert!(refused(&steps(&order)).rule.contains("must come before"));
    assert!(refused(&steps(&Step::DEFAULT_ORDER[1..])).rule.contains("AGREED_PRICE is missing"));
    let twice = [&Step::DEFAULT_ORDER[..], &[Step::Room]].concat();
    assert!(refused(&steps(&twice)).rule.contains("twice"));
}

#[test]
fn a_plan_keeps_the_rules_of_its_country() {
    let read = |plan: &str| {
        Catalogue::from_files([("jurisdictions/in.toml", INDIA), ("plan.toml", plan)]).unwrap_err()
    };
    let error = read(&with("months = 36", "months = 48"));
    assert_eq!((error.path.as_str(), error.rule.as_str()), ("waiting[2]", "IN allows at most 36 months"));
    assert_eq!(read(&with("currency = \"INR\"", "currency = \"NGN\"")).path, "currency");
    assert_eq!(read(&with("jurisdiction = \"IN\"", "jurisdiction = \"GH\"")).path, "jurisdiction");
    let files = [("jurisdictions/in.toml", INDIA), ("a.toml", FLOATER), ("b.toml", FLOATER)];
    assert_eq!(Catalogue::from_files(files).unwrap_err().path, "label");
}

#[test]
fn a_jurisdiction_gives_the_tax_of_the_day() {
    let india = Jurisdiction::from_toml("in.toml", INDIA).unwrap();
    let on = |date: &str| {
        let day: Date = date.parse().unwrap();
        india.premium_taxes("HEALTH_FAMILY", day).iter().map(|tax| tax.bps.get()).collect::<Vec<_>>()
    };
    assert_eq!((on("2017-06-30"), on("2017-07-01"), on("2025-09-22")), (vec![], vec![1_800], vec![0]));
    assert!(Jurisdiction::from_toml("x.toml", &INDIA.replacen("\"IN\"", "\"India\"", 1)).is_err());
}

#[test]
fn inv_p4_the_digest_of_a_version_changes_with_its_content_and_with_nothing_else() {
    let digest = |text: &str| PlanVersion::from_toml("plan.toml", text).unwrap().content_digest();
    let first = digest(FLOATER);
    assert_eq!(first.len(), 64);
    let laid_out = format!("# another comment\n{}", FLOATER.replace("[[waiting]]", "\n\n[[waiting]]"));
    assert_eq!(digest(&laid_out), first, "comments and white space say nothing");
    let said = with("crossing_rule = \"ADMISSION_DATE\"\n", "");
    assert_eq!(digest(&said), first, "a default that is spelled out says nothing more");
    for (old, new) in [
        ("months = 24", "months = 23"),
        ("bps = 100, base", "bps = 101, base"),
        ("premium_minor = 4_150_00", "premium_minor = 4_150_01"),
        ("name = \"Cosmetic surgery\"", "name = \"Cosmetic treatment\""),
    ] {
        assert_ne!(digest(&with(old, new)), first, "{old}");
    }
}

#[test]
fn the_ids_of_plans_and_versions_follow_from_code_and_label() {
    let version = PlanVersion::from_toml("plan.toml", FLOATER).unwrap();
    let next = PlanVersion { label: "2027.1".to_owned(), ..version.clone() };
    assert_eq!(version.plan_id(), next.plan_id());
    assert_ne!(version.id(), next.id());
}
