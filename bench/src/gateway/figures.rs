//! What was measured, and the ratios that are wanted of it. Must not know how it was measured.

use std::collections::HashMap;
use std::time::Duration;

use super::load::Wire;
use crate::measure::{Limit, Spread, report};

/// Who was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// The upstream itself.
    Direct,
    /// The gateway with everything on.
    Gateway,
    /// The same gateway without its policy.
    Bare,
    /// Envoy with its grpc_web filter.
    Envoy,
    /// HAProxy, HTTP/2 to HTTP/2.
    HaProxy,
}

impl Who {
    /// Whether this one takes part over `wire`.
    pub(crate) fn speaks(self, wire: Wire) -> bool {
        match self {
            Self::Gateway => true,
            Self::Bare | Self::Envoy => wire != Wire::Native,
            Self::Direct | Self::HaProxy => wire == Wire::Native,
        }
    }
}

/// Measurements in the order of the rounds.
#[derive(Default)]
pub(crate) struct Figures {
    per_second: HashMap<(Who, &'static str), Vec<f64>>,
    micros_per_call: HashMap<(Who, &'static str), Vec<f64>>,
    megabytes: HashMap<Who, Vec<f64>>,
    latency_micros: HashMap<Who, Vec<f64>>,
}

fn name(wire: Wire) -> &'static str {
    match wire {
        Wire::Web2 => "grpc-web, HTTP/2",
        Wire::Web1 => "grpc-web, HTTP/1.1",
        Wire::Native => "gRPC",
    }
}

impl Figures {
    #[expect(clippy::cast_precision_loss, reason = "a count of calls")]
    pub(crate) fn turn(&mut self, who: Who, wire: Wire, calls: u64, per_second: f64, used: Duration) {
        let key = (who, name(wire));
        self.per_second.entry(key).or_default().push(per_second);
        self.micros_per_call.entry(key).or_default().push(used.as_secs_f64() * 1e6 / calls as f64);
    }

    pub(crate) fn memory(&mut self, who: Who, megabytes: f64) {
        self.megabytes.entry(who).or_default().push(megabytes);
    }

    pub(crate) fn latency(&mut self, who: Who, micros: f64) {
        self.latency_micros.entry(who).or_default().push(micros);
    }

    /// Prints every measurement, then the ratios beside their limits.
    pub(crate) fn print(&self, calls: u64) -> anyhow::Result<()> {
        let build = if cfg!(debug_assertions) { "debug" } else { "release" };
        println!("gateway, {build}, TLS, turns of {calls} calls of 64 bytes");
        for wire in [Wire::Web2, Wire::Web1, Wire::Native].map(name) {
            for who in [Who::Direct, Who::Gateway, Who::Bare, Who::Envoy, Who::HaProxy] {
                let Some(per_second) = self.per_second.get(&(who, wire)) else { continue };
                let micros = Spread::of(&self.micros_per_call[&(who, wire)])?;
                let label = format!("{wire}, {who:?}");
                println!("{label:<28} {} calls/s, {micros} µs processor time", Spread::of(per_second)?);
            }
        }
        for (who, megabytes) in &self.megabytes {
            println!("{who:?}: {} MB resident", Spread::of(megabytes)?);
        }
        for (who, micros) in &self.latency_micros {
            println!("{who:?}: {} µs median of one call at a time", Spread::of(micros)?);
        }
        self.print_web()?;
        self.print_native()
    }

    fn print_web(&self) -> anyhow::Result<()> {
        for wire in [Wire::Web2, Wire::Web1].map(name) {
            let (ours, envoys) = ((Who::Gateway, wire), (Who::Envoy, wire));
            let policy = ratio(self.micros_per_call.get(&ours), self.micros_per_call.get(&(Who::Bare, wire)));
            let throughput = ratio(self.per_second.get(&ours), self.per_second.get(&envoys));
            let cost = ratio(self.micros_per_call.get(&ours), self.micros_per_call.get(&envoys));
            show(&format!("{wire}: throughput ÷ Envoy"), throughput, Limit::AtLeast(1.2))?;
            show(&format!("{wire}: processor time ÷ Envoy"), cost, Limit::AtMost(0.7))?;
            show(&format!("{wire}: processor time, policy on ÷ off"), policy, Limit::AtMost(1.25))?;
        }
        let memory = ratio(self.megabytes.get(&Who::Gateway), self.megabytes.get(&Who::Envoy));
        show("memory ÷ Envoy", memory, Limit::AtMost(0.5))
    }

    fn print_native(&self) -> anyhow::Result<()> {
        let of = |who| self.per_second.get(&(who, name(Wire::Native)));
        let ours = of(Who::Gateway);
        show("gRPC: throughput ÷ direct", ratio(ours, of(Who::Direct)), Limit::AtLeast(0.55))?;
        show("gRPC: throughput ÷ HAProxy", ratio(ours, of(Who::HaProxy)), Limit::AtLeast(0.8))?;
        let added = |who| {
            let (with, without) = (self.latency_micros.get(&who)?, self.latency_micros.get(&Who::Direct)?);
            Some(with.iter().zip(without).map(|(with, without)| with - without).collect::<Vec<_>>())
        };
        if let Some(peers) = added(Who::HaProxy) {
            println!("HAProxy adds {} µs", Spread::of(&peers)?);
        }
        let Some(ours) = added(Who::Gateway) else { return Ok(()) };
        report("gRPC: added median latency", Spread::of(&ours)?, "µs", Limit::AtMost(150.0));
        Ok(())
    }
}

/// Round by round; None when one of both was not measured.
fn ratio(ours: Option<&Vec<f64>>, theirs: Option<&Vec<f64>>) -> Option<Vec<f64>> {
    Some(ours?.iter().zip(theirs?).map(|(ours, theirs)| ours / theirs).collect())
}

fn show(label: &str, ratios: Option<Vec<f64>>, limit: Limit) -> anyhow::Result<()> {
    match ratios {
        Some(ratios) => report(label, Spread::of(&ratios)?, "×", limit),
        None => println!("SKIPPED: {label}: the peer was not measured"),
    }
    Ok(())
}

/// What an idle stream costs.
pub(crate) fn print_streams(count: u64, kilobytes: f64) -> anyhow::Result<()> {
    let label = format!("memory of each of {count} idle streams");
    report(&label, Spread::of(&[kilobytes])?, "kB", Limit::AtMost(40.0));
    Ok(())
}
