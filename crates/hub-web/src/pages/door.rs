//! Logging in and out, and the first account.

use axum::{
    extract::{Query, Request, State, rejection::QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
};
use hub_access::{LoggedIn, LoginError, PASSWORD_MIN_CHARS, SetupError};
use hub_core::{caller::Caller, error::UserError};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{back::own_path, form::FormFields, html};
use crate::{audit::address_of, cookies, error::WebError, language::Said, problem, render::Page, router::App, said};

/// Log in, or make the first account.
#[derive(Debug, Serialize)]
pub(crate) struct DoorPage {
    title: Said,
    /// There is no account yet.
    first: bool,
    /// The token of the log is asked for.
    asks_token: bool,
    /// Where to go afterwards.
    next: String,
    fault: Option<String>,
    password_min: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DoorQuery {
    next: String,
}

impl DoorPage {
    fn login(next: &str, fault: Option<String>) -> Self {
        let next = own_path(next);
        Self { title: said!("Log in"), first: false, asks_token: false, next, fault, password_min: PASSWORD_MIN_CHARS }
    }

    fn set_up(app: &App, fault: Option<String>) -> Self {
        Self {
            title: said!("First account"),
            first: true,
            asks_token: app.access.is_closed(),
            next: "/".to_owned(),
            fault,
            password_min: PASSWORD_MIN_CHARS,
        }
    }
}

impl Page for DoorPage {
    const TEMPLATE: &'static str = "pages/door.html";

    #[cfg(test)]
    fn sample() -> Self {
        Self {
            title: said!("First account"),
            first: true,
            asks_token: true,
            next: "/jobs?q=<b>".to_owned(),
            fault: Some("<b>wrong".to_owned()),
            password_min: PASSWORD_MIN_CHARS,
        }
    }
}

pub(crate) async fn show_login(
    State(app): State<App>,
    query: Result<Query<DoorQuery>, QueryRejection>,
) -> Result<Response, WebError> {
    let Query(query) = query?;
    if !app.access.has_account() {
        return Ok(Redirect::to("/setup").into_response());
    }
    Ok(html(&app, &DoorPage::login(&query.next, None))?.into_response())
}

pub(crate) async fn login(State(app): State<App>, request: Request) -> Result<Response, WebError> {
    let from = address_of(request.extensions());
    let fields = FormFields::read(request, &app).await?;
    let next = fields.first("next");
    let told = |status: StatusCode, fault: String| {
        Ok((status, html(&app, &DoorPage::login(&next, Some(fault)))?).into_response())
    };
    match app.access.login(SecretString::from(fields.first("password")), from).await {
        Ok(session) => {
            app.access.audit(&Caller::admin(), "log in", None, from).await;
            entered(&app, &session, &own_path(&next))
        }
        Err(error @ LoginError::Wrong) => {
            app.access.audit(&Caller::named("stranger"), "log in with a wrong password", None, from).await;
            told(StatusCode::UNAUTHORIZED, error.to_string())
        }
        Err(error @ LoginError::Wait(seconds)) => {
            let mut response: Response = told(StatusCode::TOO_MANY_REQUESTS, error.to_string())?;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            Ok(response)
        }
        Err(LoginError::Failed(error)) => Err(error.into()),
    }
}

pub(crate) async fn show_setup(State(app): State<App>) -> Result<Response, WebError> {
    if app.access.has_account() {
        return Ok(Redirect::to("/login").into_response());
    }
    Ok(html(&app, &DoorPage::set_up(&app, None))?.into_response())
}

pub(crate) async fn set_up(State(app): State<App>, request: Request) -> Result<Response, WebError> {
    let from = address_of(request.extensions());
    let fields = FormFields::read(request, &app).await?;
    let told = |status: StatusCode, fault: String| -> Result<Response, WebError> {
        Ok((status, html(&app, &DoorPage::set_up(&app, Some(fault)))?).into_response())
    };
    let password = fields.first("password");
    if password != fields.first("again") {
        return told(StatusCode::UNPROCESSABLE_ENTITY, said!("The two passwords differ.").to_string());
    }
    match app.access.set_up(&fields.first("token"), SecretString::from(password), from).await {
        Ok(session) => {
            app.access.audit(&Caller::admin(), "make the first account", None, from).await;
            entered(&app, &session, "/")
        }
        Err(error @ SetupError::Wrong) => {
            app.access.audit(&Caller::named("stranger"), "set up with a wrong token", None, from).await;
            told(StatusCode::UNAUTHORIZED, error.to_string())
        }
        Err(error @ SetupError::Wait(seconds)) => {
            let mut response = told(StatusCode::TOO_MANY_REQUESTS, error.to_string())?;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            Ok(response)
        }
        Err(SetupError::Done) => Ok(Redirect::to("/login").into_response()),
        Err(SetupError::Failed(error)) => told(problem::status_of(error.code), UserError::explain(&error)),
    }
}

pub(crate) async fn logout(State(app): State<App>, request: Request) -> Result<Response, WebError> {
    let from = address_of(request.extensions());
    if let Some(session) = request.extensions().get::<LoggedIn>() {
        app.access.log_out(session).await?;
        app.access.audit(&Caller::admin(), "log out", None, from).await;
    }
    let mut response = Redirect::to("/login").into_response();
    if let Some(cookie) = cookies::end(&app) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

fn entered(app: &App, session: &LoggedIn, to: &str) -> Result<Response, WebError> {
    let cookie = cookies::begin(app, session).ok_or_else(|| WebError::internal(&"a token is no header value"))?;
    let mut response = Redirect::to(to).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}
