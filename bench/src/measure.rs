//! What all benchmarks share: processor time and memory of a process, medians with spread, one way to
//! print a figure beside its limit.

use std::fmt;
use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};

/// Clock ticks of `/proc/<pid>/stat` in a second: Linux reports 100 to user space on every platform.
const TICKS_PER_SECOND: f64 = 100.0;

/// Median, smallest and largest of some measurements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// The middle one; of an even number, the mean of the two in the middle.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) least: f64,
    /// The largest.
    pub(crate) most: f64,
}

impl Spread {
    /// Of at least one measurement.
    pub(crate) fn of(measurements: &[f64]) -> anyhow::Result<Self> {
        ensure!(!measurements.is_empty(), "nothing was measured");
        let mut sorted = measurements.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        };
        Ok(Self { median, least: sorted[0], most: sorted[sorted.len() - 1] })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2} … {:.2})", self.median, self.least, self.most)
    }
}

/// Which side of its limit a figure has to be on.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

/// Prints a figure beside its limit and whether it holds.
pub(crate) fn report(name: &str, figure: Spread, unit: &str, limit: Limit) {
    let (holds, sign, bound) = match limit {
        Limit::AtLeast(bound) => (figure.median >= bound, "≥", bound),
        Limit::AtMost(bound) => (figure.median <= bound, "≤", bound),
    };
    let verdict = if holds { "ok" } else { "SHORT" };
    println!("{name:<58} {figure} {unit}  [{sign} {bound}] {verdict}");
}

/// Processor time that a process has used so far, user and system together.
pub(crate) fn processor_time(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    // The second field is the command in parentheses and may hold spaces; fields 14 and 15 are the times.
    let after = stat.rsplit(')').next().context("an unknown form of stat")?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks =
        |index: usize| -> anyhow::Result<f64> { Ok(fields.get(index).context("short stat")?.parse()?) };
    Ok(Duration::from_secs_f64((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND))
}

/// Memory that a process holds in RAM, megabytes.
pub(crate) fn resident_megabytes(pid: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kilobytes: f64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
    Ok(kilobytes / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let spread = Spread::of(&[4.0, 1.0, 3.0, 2.0]).expect("measured");
        assert_eq!(spread, Spread { median: 2.5, least: 1.0, most: 4.0 });
        assert!(Spread::of(&[]).is_err());
    }

    #[test]
    fn a_busy_process_uses_processor_time_and_memory() {
        let own = std::process::id();
        let before = processor_time(own).expect("read");
        let mut sum = 0_u64;
        while processor_time(own).expect("read") < before + Duration::from_millis(30) {
            sum = sum.wrapping_add(1);
        }
        assert!(resident_megabytes(own).expect("read") > 1.0, "{sum}");
    }
}
