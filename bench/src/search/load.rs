//! The load: whoever answers is asked the same queries, at a fixed rate (latency counts from when a query was due) or as fast
//! as it answers. Must not know who answers.

use std::time::Duration;

use futures::future::BoxFuture;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::data::{Asked, Kind};

/// A product that was found: its code, its names in lower case.
pub(crate) struct Found {
    pub(crate) code: String,
    pub(crate) words: String,
}

/// Whoever answers. A cheap clone.
pub(crate) trait Answers: Clone + Send + Sync + 'static {
    /// Finds products, at most `most`, best first.
    fn ask(&self, text: String, most: u32) -> BoxFuture<'static, anyhow::Result<Vec<Found>>>;
}

/// Products on a page.
pub(crate) const PAGE: u32 = 20;
/// Queries under way at a time when speed is measured.
const CROWD: usize = 8;
/// Longest time that is told apart, microseconds.
const LONGEST: u64 = 60_000_000;

/// Times of answers by kind, microseconds.
pub(crate) struct Times(Vec<(Kind, u64)>);

impl Times {
    /// The time that so many percent of these kinds stay within, milliseconds.
    pub(crate) fn percentile(&self, kinds: &[Kind], percent: f64) -> anyhow::Result<f64> {
        let mut histogram = Histogram::<u64>::new_with_max(LONGEST, 3)?;
        for (_, micros) in self.0.iter().filter(|(kind, _)| kinds.contains(kind)) {
            histogram.record((*micros).min(LONGEST))?;
        }
        Ok(Duration::from_micros(histogram.value_at_percentile(percent)).as_secs_f64() * 1_000.0)
    }
}

/// Asks `rate` queries a second for as long as `go_on` says so, over and over.
pub(crate) async fn steadily<A: Answers>(
    who: &A,
    mix: &[Asked],
    rate: u32,
    mut go_on: impl FnMut(usize) -> bool,
) -> anyhow::Result<Times> {
    let (begun, mut under_way) = (Instant::now(), JoinSet::new());
    let mut place = 0_usize;
    while go_on(place) {
        let due = begun + Duration::from_secs(1) * u32::try_from(place)? / rate;
        tokio::time::sleep_until(due).await;
        let asked = &mix[place % mix.len()];
        let (kind, answer) = (asked.kind, who.ask(asked.text.clone(), PAGE));
        under_way.spawn(async move {
            answer.await?;
            anyhow::Ok((kind, u64::try_from(due.elapsed().as_micros())?))
        });
        place += 1;
    }
    let mut times = Vec::new();
    while let Some(answered) = under_way.join_next().await {
        times.push(answered??);
    }
    Ok(Times(times))
}

/// Asks one query after the other; `between` is called after each.
pub(crate) async fn one_by_one<A: Answers>(
    who: &A,
    mix: &[Asked],
    mut between: impl FnMut(Duration),
) -> anyhow::Result<Times> {
    let mut times = Vec::new();
    for asked in mix {
        let begun = Instant::now();
        who.ask(asked.text.clone(), PAGE).await?;
        let took = begun.elapsed();
        between(took);
        times.push((asked.kind, u64::try_from(took.as_micros())?));
    }
    Ok(Times(times))
}

/// Asks all of them, a few at a time, as fast as they are answered.
pub(crate) async fn flat_out<A: Answers>(who: &A, mix: &[Asked]) -> anyhow::Result<()> {
    let mut under_way = JoinSet::new();
    for asked in mix {
        if under_way.len() >= CROWD
            && let Some(answered) = under_way.join_next().await
        {
            let answered: anyhow::Result<Vec<Found>> = answered?;
            answered?;
        }
        under_way.spawn(who.ask(asked.text.clone(), PAGE));
    }
    while let Some(answered) = under_way.join_next().await {
        answered??;
    }
    Ok(())
}
