//! The configuration as a file: downloaded, and imported after a look at what that changes.

use axum::{
    extract::{Request, State},
    response::{Html, Response},
};
use hub_core::error::{ErrorCode, UserError};
use hub_engine::{ExportOptions, ExportParts, ImportMode, ImportOptions, ImportReport};
use secrecy::SecretString;
use serde::Serialize;

use super::{
    Frame,
    form::{Done, Fault, FormFields, refused, shown, ticked},
    html, see_other,
    shown::ShownReport,
};
use crate::{
    attachment,
    audit::{about_import, nothing_done},
    error::WebError,
    render::Page,
    router::App,
    said,
};

/// Fields that a fault can stand beside.
const FIELDS: [&str; 4] = ["file", "text", "passphrase", "export_passphrase"];

/// The page.
#[derive(Debug, Serialize)]
pub(crate) struct ConfigurationPage {
    frame: Frame,
    replace: bool,
    /// The pasted text.
    text: String,
    report: Option<Preview>,
    fault: Option<Fault>,
}

/// What an import would do, and what has it done.
#[derive(Debug, Serialize)]
struct Preview {
    /// The file's text, to be sent again when it is to be done.
    document: String,
    replace: bool,
    /// It was opened with a passphrase, which is asked for again: a page is no place for one.
    sealed: bool,
    /// Stands for the changes that are shown.
    seen: String,
    /// Something else changed since they were shown the last time.
    moved: bool,
    #[serde(flatten)]
    report: ShownReport,
}

pub(crate) async fn show(State(app): State<App>, done: Done) -> Result<Html<String>, WebError> {
    let mut page = ConfigurationPage::new();
    page.frame.flash = done.flash();
    html(&app, &page)
}

/// The file. By POST, since addresses are kept in logs and a passphrase is none of their business.
pub(crate) async fn export(State(app): State<App>, request: Request) -> Result<Response, WebError> {
    let fields = FormFields::read(request, &app).await?;
    let parts =
        if ticked(&fields.first("workflows")) { ExportParts::Everything } else { ExportParts::WithoutWorkflows };
    let options = ExportOptions { parts, passphrase: passphrase(&fields, "export_passphrase") };
    match app.engine.config_export(options).await {
        Ok(text) => Ok(attachment::answer(attachment::CONFIGURATION, attachment::JSON, text)),
        Err(mut error) => {
            if error.argument.as_deref() == Some("passphrase") {
                error.argument = Some("export_passphrase".to_owned());
            }
            refuse(&app, ConfigurationPage::new(), &error)
        }
    }
}

/// Shows what a file would change, then, sent again as it was shown, has it done.
pub(crate) async fn import(State(app): State<App>, request: Request) -> Result<Response, WebError> {
    let fields = FormFields::read(request, &app).await?;
    let document = document_of(&fields);
    let replace = fields.first("mode") == "replace";
    let mut page = ConfigurationPage { replace, text: typed_text(&fields), ..ConfigurationPage::new() };
    let looked = look(&app, &fields, &document, replace).await;
    let (seen, report) = match looked {
        Ok(report) => (app.versions.of(&report.changes), report),
        Err(error) => return refuse(&app, page, &error),
    };
    let agreed = fields.first("seen");
    if agreed == seen {
        let done = app.engine.config_import(document.as_bytes(), &options(&fields, replace, false)).await;
        return match done {
            Ok(done) => Ok(about_import(see_other("/configuration?done=config-imported"), &done)),
            Err(error) => refuse(&app, page, &beside_its_source(error, &fields)),
        };
    }
    page.report = Some(Preview {
        sealed: passphrase(&fields, "passphrase").is_some(),
        moved: !agreed.is_empty(),
        seen,
        replace,
        document,
        report: ShownReport::of(report),
    });
    shown(&app, &page).map(nothing_done)
}

async fn look(app: &App, fields: &FormFields, document: &str, replace: bool) -> Result<ImportReport, UserError> {
    if document.trim().is_empty() {
        return Err(UserError::argument("file", said!("Choose a file, or paste its text.")));
    }
    let report = app.engine.config_import(document.as_bytes(), &options(fields, replace, true)).await;
    report.map_err(|error| beside_its_source(error, fields))
}

/// Anything but the passphrase is wrong with the file, or with the text that stands in the other field.
fn beside_its_source(mut error: UserError, fields: &FormFields) -> UserError {
    if error.code != ErrorCode::Storage && error.argument.as_deref() != Some("passphrase") {
        let source = if fields.file("file").is_some() { "file" } else { "text" };
        error.argument = Some(source.to_owned());
    }
    error
}

fn options(fields: &FormFields, replace: bool, dry_run: bool) -> ImportOptions {
    let mode = if replace { ImportMode::Replace } else { ImportMode::Merge };
    ImportOptions { mode, dry_run, passphrase: passphrase(fields, "passphrase") }
}

fn passphrase(fields: &FormFields, name: &str) -> Option<SecretString> {
    Some(fields.first(name)).filter(|text| !text.is_empty()).map(SecretString::from)
}

/// The chosen file, the pasted text, or the text of a file that was shown already.
fn document_of(fields: &FormFields) -> String {
    match fields.file("file") {
        Some(file) => String::from_utf8_lossy(&file.bytes).into_owned(),
        None => Some(fields.first("document")).filter(|text| !text.is_empty()).unwrap_or_else(|| fields.first("text")),
    }
}

/// What is shown in the field for pasted text; a file that was shown already is as good as pasted.
fn typed_text(fields: &FormFields) -> String {
    Some(fields.first("text")).filter(|text| !text.is_empty()).unwrap_or_else(|| fields.first("document"))
}

fn refuse(app: &App, mut page: ConfigurationPage, error: &UserError) -> Result<Response, WebError> {
    page.fault = Some(Fault::of(error).elsewhere(&FIELDS));
    refused(app, error, &page)
}

impl ConfigurationPage {
    fn new() -> Self {
        Self {
            frame: Frame::new("maintenance", said!("Configuration")),
            replace: false,
            text: String::new(),
            report: None,
            fault: None,
        }
    }
}

impl Page for ConfigurationPage {
    const TEMPLATE: &'static str = "pages/configuration.html";

    #[cfg(test)]
    fn sample() -> Self {
        use super::shown::sample::HOSTILE;
        Self {
            replace: true,
            text: HOSTILE.to_owned(),
            report: Some(Preview {
                document: HOSTILE.to_owned(),
                replace: true,
                sealed: true,
                seen: "0".to_owned(),
                moved: true,
                report: ShownReport::sample(),
            }),
            fault: Some(Fault { field: "file".to_owned(), text: HOSTILE.to_owned(), changed: false }),
            ..Self::new()
        }
    }
}
