//! `genimage doctor`: checks what the hub needs and says what to fix.

use std::{process::ExitCode, sync::Arc};

use hub_core::clock::SystemClock;
use hub_store::Store;
use hub_web::Translations;

use crate::{
    app::{Hub, HubOptions},
    config::Config,
    http::TRANSLATIONS,
};

/// Prints one line per check; exit code 1 when one failed.
///
/// # Errors
/// Never: what fails is a line.
pub(super) async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    report.line("configuration", Ok("read".to_owned()));
    let folder = config.server.data_dir.display().to_string();
    let (translations, faults) = Translations::read(&config.server.data_dir.join(TRANSLATIONS));
    for (language, messages) in translations.known() {
        report.line("translation", Ok(format!("{language}, {messages} messages")));
    }
    for fault in faults {
        report.line("translation", Err(fault));
    }
    // With a hub running, its database may be read but its folder must not be taken.
    match Hub::start(config, &HubOptions { no_listener: true, ..HubOptions::default() }).await {
        Ok(hub) => {
            report.line("data folder", Ok(folder));
            for (what, outcome) in hub.engine.checkup().await {
                report.line(&what, outcome);
            }
            hub.stop().await?;
        }
        Err(error) if format!("{error:#}").contains("another hub") => {
            report
                .line("data folder", Ok(format!("{folder}, in use by a running hub: ask its /readyz for its servers")));
            let opened = Store::open(&config.database_url(), Arc::new(SystemClock)).await;
            report.line("database", opened.map(|_| "opens".to_owned()).map_err(|error| error.to_string()));
        }
        Err(error) => report.line("start", Err(format!("{error:#}"))),
    }
    Ok(report.exit_code())
}

#[derive(Default)]
struct Report {
    failed: usize,
}

impl Report {
    #[expect(clippy::print_stdout, reason = "the report is what the command is for")]
    fn line(&mut self, what: &str, outcome: Result<String, String>) {
        match outcome {
            Ok(detail) => println!("ok    {what}: {detail}"),
            Err(advice) => {
                self.failed += 1;
                println!("FAIL  {what}: {advice}");
            }
        }
    }

    fn exit_code(&self) -> ExitCode {
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
