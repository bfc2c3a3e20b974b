//! What all forms of the pages share: reading one, and telling what is wrong beside its field.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Multipart, Query, Request, multipart::MultipartError},
    http::{StatusCode, header, request::Parts},
    response::{Html, IntoResponse as _, Response},
};
use hub_core::{
    caller::Caller,
    error::{ErrorCode, UserError},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Flash, html};
use crate::{
    error::WebError,
    language::{Said, apart},
    problem,
    render::Page,
    router::App,
    said,
};

/// Most fields read from one form.
const FIELDS_MAX: usize = 400;
/// Most files read from one form.
const FILES_MAX: usize = 4;

/// The fields of a form without files. A field that comes several times (ticked boxes) is a list.
pub(crate) struct Sent<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Sent<T> {
    type Rejection = WebError;

    async fn from_request(request: Request, app: &App) -> Result<Self, WebError> {
        let bytes = Bytes::from_request(request, app).await?;
        serde_html_form::from_bytes(&bytes).map(Self).map_err(|error| {
            WebError::request(StatusCode::BAD_REQUEST, said!("The form cannot be read: {error}.", error))
        })
    }
}

/// A form as it was sent, perhaps with files.
#[derive(Debug, Default)]
pub(crate) struct FormFields {
    /// Name and value, in their order.
    pub(crate) texts: Vec<(String, String)>,
    /// The files that were chosen.
    pub(crate) files: Vec<SentFile>,
}

/// A file of a form.
#[derive(Debug)]
pub(crate) struct SentFile {
    /// Name of its field.
    field: String,
    /// Its name as the browser gave it.
    pub(crate) name: String,
    pub(crate) bytes: Bytes,
}

impl FormFields {
    /// Reads a form, with or without a file.
    ///
    /// # Errors
    /// 4xx when it does not arrive whole or is too large.
    pub(crate) async fn read(request: Request, app: &App) -> Result<Self, WebError> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        if kind.starts_with("multipart/form-data") {
            return Self::read_multipart(request, app).await;
        }
        let bytes = Bytes::from_request(request, app).await?;
        let texts = url::form_urlencoded::parse(&bytes).into_owned().take(FIELDS_MAX).collect();
        Ok(Self { texts, ..Self::default() })
    }

    async fn read_multipart(request: Request, app: &App) -> Result<Self, WebError> {
        let mut form = Multipart::from_request(request, app)
            .await
            .map_err(|rejection| WebError::request(StatusCode::BAD_REQUEST, rejection.body_text()))?;
        let mut read = Self::default();
        while let Some(field) = form.next_field().await.map_err(|error| not_read(&error))? {
            let Some(name) = field.name().map(str::to_owned) else { continue };
            if let Some(file_name) = field.file_name().map(str::to_owned) {
                let bytes = field.bytes().await.map_err(|error| not_read(&error))?;
                // Browsers send an empty file when none was chosen.
                if !bytes.is_empty() && read.files.len() < FILES_MAX {
                    read.files.push(SentFile { field: name, name: file_name, bytes });
                }
            } else if read.texts.len() < FIELDS_MAX {
                let text = field.text().await.map_err(|error| not_read(&error))?;
                read.texts.push((name, text));
            }
        }
        Ok(read)
    }

    /// The file that was chosen in a field.
    pub(crate) fn file(&self, field: &str) -> Option<&SentFile> {
        self.files.iter().find(|file| file.field == field)
    }

    /// Stores the picture that was chosen in a field; answers its id, which is kept in the form, so that another fault
    /// does not ask for the file again. `None` when none was chosen.
    ///
    /// # Errors
    /// What is wrong with it, as a fault of `argument`.
    pub(crate) async fn stored_picture(
        &self,
        app: &App,
        caller: &Caller,
        field: &str,
        argument: &str,
    ) -> Result<Option<String>, UserError> {
        let Some(file) = self.file(field) else { return Ok(None) };
        match app.engine.store_input(caller, file.bytes.clone()).await {
            Ok(stored) => Ok(Some(stored.id.to_string())),
            Err(error) => Err(UserError { argument: Some(argument.to_owned()), ..error }),
        }
    }

    /// The first value of that name; empty when there is none.
    pub(crate) fn first(&self, name: &str) -> String {
        self.texts.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap_or_default()
    }
}

/// Why a form was not read to its end. What is too large may be one file or all of them together.
fn not_read(error: &MultipartError) -> WebError {
    let detail = match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => said!("A form's files may have 32 MB together; choose a smaller one."),
        _ => said!("The form did not arrive whole."),
    };
    WebError::request(error.status(), detail)
}

/// What was just done, as the address says it, for the message at the top of the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Done {
    done: Option<String>,
    undo: Option<u64>,
}

impl Done {
    pub(crate) fn flash(&self) -> Option<Flash> {
        Flash::with_undo(self.done.as_deref(), self.undo)
    }
}

impl FromRequestParts<App> for Done {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, WebError> {
        let Query(done) = Query::from_request_parts(parts, app).await?;
        Ok(done)
    }
}

/// How a form for something new may begin.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Begin {
    /// Id of a like thing that is copied.
    pub(crate) from: Option<String>,
    /// Name of a workflow.
    pub(crate) workflow: Option<String>,
}

/// What is wrong, beside its field.
#[derive(Debug, Serialize)]
pub(crate) struct Fault {
    /// Name of the field; empty when it is none's alone.
    pub(crate) field: String,
    /// One or two sentences.
    pub(crate) text: String,
    /// Somebody else was quicker.
    pub(crate) changed: bool,
}

impl Fault {
    pub(crate) fn of(error: &UserError) -> Self {
        Self {
            field: error.argument.clone().unwrap_or_default(),
            text: apart::error(error).explain(),
            changed: error.code == ErrorCode::Changed,
        }
    }

    /// Beside the field that an argument of another name is typed into: argument and field each.
    pub(crate) fn typed_into(mut self, fields: &[(&str, &str)]) -> Self {
        if let Some((_, field)) = fields.iter().find(|(argument, _)| *argument == self.field) {
            (*field).clone_into(&mut self.field);
        }
        self
    }

    /// Told at the top of the form where none of its fields is meant.
    pub(crate) fn elsewhere(mut self, fields: &[&str]) -> Self {
        if !fields.contains(&self.field.as_str()) {
            self.field.clear();
        }
        self
    }
}

/// The page again, with the status of what went wrong.
///
/// # Errors
/// When the template is broken.
pub(crate) fn refused<P: Page>(app: &App, error: &UserError, page: &P) -> Result<Response, WebError> {
    let page: Html<String> = html(app, page)?;
    Ok((problem::status_of(error.code), page).into_response())
}

/// The page as an answer that asks to look again, without an error.
///
/// # Errors
/// When the template is broken.
pub(crate) fn shown<P: Page>(app: &App, page: &P) -> Result<Response, WebError> {
    Ok((StatusCode::OK, html(app, page)?).into_response())
}

/// Whether a ticked box came.
pub(crate) fn ticked(value: &str) -> bool {
    matches!(value, "on" | "true" | "1")
}

/// The lines of a text area that hold something.
pub(crate) fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// A number in a field that may be empty.
///
/// # Errors
/// `bad_argument` naming the field and what it takes.
pub(crate) fn number<T: std::str::FromStr>(field: &str, text: &str, takes: Said) -> Result<Option<T>, UserError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    as_number(text).map(Some).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        UserError::argument(field, said!("`{shown}` is no {takes}.", shown, takes))
    })
}

/// A number with a decimal point or a decimal comma.
pub(crate) fn as_number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.trim().replace(',', ".").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_either_spelling_or_refused_by_field() {
        assert_eq!(number::<f64>("cfg", " 6,5 ", said!("number")).unwrap(), Some(6.5));
        assert_eq!(number::<u32>("steps", "", said!("whole number")).unwrap(), None);
        let error = number::<u32>("steps", "many", said!("whole number")).unwrap_err();
        assert_eq!(error.argument.as_deref(), Some("steps"));
        assert_eq!(lines(" a \n\n b\n"), ["a", "b"]);
    }
}
