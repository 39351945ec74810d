//! How often what was meant is among the first, over the whole sets of real and drawn misspellings. Must not know who answers.

use futures::StreamExt as _;

use super::data::{BrandTypo, Data, RedMed};
use super::load::{Answers, Found};
use crate::measure::{Limit, Spread, report};

/// Queries under way at a time.
const CROWD: usize = 4;
/// Places that are looked at of a brand's answer, and of a name's.
const OF_BRAND: u32 = 10;
const OF_NAME: u32 = 10;
const FIRST: usize = 3;

/// Shares, 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recall {
    all: f64,
    one_edit: f64,
    two_edits: f64,
    redmed: f64,
    redmed_ten: f64,
}

impl Recall {
    /// Asks all queries of both sets.
    pub(crate) async fn of<A: Answers>(who: &A, data: &Data) -> anyhow::Result<Self> {
        let brands = futures::stream::iter(&data.brands).map(|row| brand(who, row)).buffered(CROWD);
        let (mut one, mut two) = (Share::default(), Share::default());
        for (row, hit) in data.brands.iter().zip(brands.collect::<Vec<_>>().await) {
            let share = if row.n_edits == 1 { &mut one } else { &mut two };
            share.count(hit?);
        }
        let names = futures::stream::iter(&data.redmed).map(|row| name(who, row)).buffered(CROWD);
        let (mut first, mut ten) = (Share::default(), Share::default());
        for place in names.collect::<Vec<_>>().await {
            let place = place?;
            first.count(place.is_some_and(|place| place < FIRST));
            ten.count(place.is_some());
        }
        Ok(Self {
            all: one.and(two).value(),
            one_edit: one.value(),
            two_edits: two.value(),
            redmed: first.value(),
            redmed_ten: ten.value(),
        })
    }

    /// Prints them beside what is wanted.
    pub(crate) fn report(self, who: &str) -> anyhow::Result<()> {
        let lines = [
            ("brand typos recall@10", self.all, 0.90),
            ("brand typos recall@10, one edit", self.one_edit, 0.98),
            ("brand typos recall@10, two edits", self.two_edits, 0.60),
            ("RedMed recall@3", self.redmed, 0.975),
        ];
        for (what, share, wanted) in lines {
            report(&format!("{who}: {what}"), Spread::of(&[share])?, "", Limit::AtLeast(wanted));
        }
        println!("{who}: RedMed recall@10 {:.3}", self.redmed_ten);
        Ok(())
    }

    /// One line to stand beside a speed.
    pub(crate) fn line(self) -> String {
        let Self { all, one_edit, two_edits, redmed, .. } = self;
        format!("brands@10 {all:.3} (one edit {one_edit:.3}, two {two_edits:.3}), RedMed@3 {redmed:.3}")
    }
}

#[derive(Clone, Copy, Default)]
struct Share {
    hits: u32,
    of: u32,
}

impl Share {
    fn count(&mut self, hit: bool) {
        self.hits += u32::from(hit);
        self.of += 1;
    }

    fn and(self, other: Self) -> Self {
        Self { hits: self.hits + other.hits, of: self.of + other.of }
    }

    fn value(self) -> f64 {
        f64::from(self.hits) / f64::from(self.of.max(1))
    }
}

async fn brand<A: Answers>(who: &A, row: &BrandTypo) -> anyhow::Result<bool> {
    let found = who.ask(row.query.clone(), OF_BRAND).await?;
    Ok(found.iter().any(|one| row.product_ids.split(';').any(|meant| meant == one.code)))
}

/// At which place the name that was meant stands, a whole word of the product's brand or substance.
async fn name<A: Answers>(who: &A, row: &RedMed) -> anyhow::Result<Option<usize>> {
    let found = who.ask(row.query.clone(), OF_NAME).await?;
    let has = |one: &Found| one.words.split(|c: char| !c.is_alphanumeric()).any(|word| word == row.correct);
    Ok(found.iter().position(has))
}
