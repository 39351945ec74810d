//! What commands say: results on stdout, everything else on stderr. The only place that writes there.
//! Must not know what is said.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Writes one line of a result.
///
/// # Errors
/// When stdout is closed.
pub fn print_line(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// Tells a person something. Lost when stderr is closed: there is nobody to tell.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A progress bar over `total` steps on stderr; nothing is drawn when stderr is no terminal.
#[must_use]
pub fn progress(total: u64, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len}");
    let bar = ProgressBar::new(total).with_message(what.to_owned());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Moves a bar to `done` of `all`.
pub fn show(bar: &ProgressBar, done: i64, all: i64) {
    bar.set_length(all.unsigned_abs());
    bar.set_position(done.unsigned_abs());
}

/// A spinner for work whose length is not known; nothing is drawn when stderr is no terminal.
#[must_use]
pub fn spinner(what: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
