//! What is said, to whom, and what is asked.

use std::io::{self, BufRead, IsTerminal as _, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// Where results go, and where answers come from.
pub struct Terminal {
    json: bool,
    assume_yes: bool,
    out: Box<dyn Write + Send>,
    input: Box<dyn BufRead + Send>,
    /// Whether somebody looks on who can be shown something that moves, and asked.
    attended: bool,
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Terminal")
    }
}

impl Terminal {
    /// That of this process.
    #[must_use]
    pub fn of_process(json: bool, assume_yes: bool) -> Self {
        Self {
            json,
            assume_yes,
            out: Box::new(io::stdout()),
            input: Box::new(io::BufReader::new(io::stdin())),
            attended: io::stdin().is_terminal() && io::stderr().is_terminal(),
        }
    }

    /// One for tests, before which somebody sits: what is said goes to `out`, what is asked is answered from `input`.
    #[must_use]
    pub fn scripted(
        json: bool,
        assume_yes: bool,
        out: impl Write + Send + 'static,
        input: &'static str,
    ) -> Self {
        Self { json, assume_yes, out: Box::new(out), input: Box::new(input.as_bytes()), attended: true }
    }

    /// Says the result: as JSON where that is wanted, else in words.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn say<T: Serialize>(&mut self, result: &T, words: &str) -> io::Result<()> {
        if self.json {
            let text = serde_json::to_string_pretty(result).map_err(io::Error::other)?;
            writeln!(self.out, "{text}")
        } else {
            write!(self.out, "{words}")
        }?;
        self.out.flush()
    }

    /// Says as JSON, where that is wanted, why there is no result.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn fail(&mut self, error: &(dyn std::error::Error + 'static)) -> io::Result<()> {
        #[derive(Serialize)]
        struct Failure {
            error: String,
        }
        if self.json { self.say(&Failure { error: telemetry::chain(error) }, "") } else { Ok(()) }
    }

    /// A bar on standard error for work of `length`, or of unknown length; it is only seen on a terminal.
    #[must_use]
    pub fn progress(&self, length: Option<u64>, what: &'static str) -> ProgressBar {
        // The templates are constant; one that could not be read would leave the plain style.
        let style = |template| ProgressStyle::with_template(template).ok();
        let bar = match length {
            _ if self.json => return ProgressBar::hidden(),
            Some(length) => ProgressBar::new(length),
            None => ProgressBar::new_spinner(),
        };
        let style = match length {
            Some(_) => style("{msg} [{bar:30}] {pos} of {len}, {per_sec}, {eta} left"),
            None => style("{spinner} {msg}: {human_pos}, {elapsed}"),
        };
        if let Some(style) = style {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    /// Whether to go ahead with what can't be taken back: one of `words` must be typed, unless the command line said yes
    /// already. Where nobody sits who can be asked, nothing is done, whatever standard input holds.
    ///
    /// # Errors
    /// When the question can't be asked or the answer not read.
    pub fn confirm(&mut self, question: &str, words: &[&str]) -> io::Result<bool> {
        if self.assume_yes {
            return Ok(true);
        }
        if !self.attended {
            return Ok(false);
        }
        let mut err = io::stderr().lock();
        writeln!(err, "{question}")?;
        write!(
            err,
            "Type {} to go ahead: ",
            words.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(" or ")
        )?;
        err.flush()?;
        let mut answer = String::new();
        self.input.read_line(&mut answer)?;
        Ok(words.contains(&answer.trim()))
    }
}
