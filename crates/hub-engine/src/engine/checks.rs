//! Checks of what administrators give, before it is stored. Pure.

use chrono::DateTime;
use hub_core::{
    catalogue::{RenderType, Style},
    error::UserError,
    ids::ServerId,
    limits,
    server::{LlmServer, NewServer, SecretSource, Server, ServerAuth},
};
use url::Url;

/// Longest template, guide or description, in characters.
const TEXT_MAX_CHARS: usize = limits::PROMPT_MAX_CHARS;
/// Prompts of ours that may be on one server at once, at most.
const IN_FLIGHT_MAX: u32 = 64;
/// Largest weight of a server against its peers.
const WEIGHT_MAX: f64 = 1000.0;
/// Longest limit on a run or a silence: a week, in seconds.
const TIME_LIMIT_MAX_S: u32 = 604_800;
/// Longest name of a header.
const HEADER_NAME_MAX: usize = 120;
/// Most headers that prove the hub's identity.
const HEADERS_MAX: usize = 16;
/// Longest secret, or place of one, in bytes.
const SECRET_MAX_BYTES: usize = 8192;

/// A unique name, as callers will write it.
pub(crate) fn name(name: &str) -> Result<String, UserError> {
    let trimmed = name.trim();
    let chars = trimmed.chars().count();
    let fits = (1..=limits::NAME_MAX_CHARS).contains(&chars) && !trimmed.chars().any(char::is_control);
    if fits {
        return Ok(trimmed.to_owned());
    }
    Err(UserError::argument(
        "name",
        format!("`name` must have 1 to {} characters and no control characters.", limits::NAME_MAX_CHARS),
    ))
}

pub(crate) fn in_flight(max_in_flight: u32) -> Result<(), UserError> {
    if (1..=IN_FLIGHT_MAX).contains(&max_in_flight) {
        return Ok(());
    }
    Err(UserError::argument(
        "max_in_flight",
        format!("`max_in_flight` is {max_in_flight}, but must lie between 1 and {IN_FLIGHT_MAX}."),
    ))
}

/// See [`server`].
pub(crate) fn new_server(new: &NewServer) -> Result<(), UserError> {
    server(&new.clone().into_server(ServerId::from_uuid(uuid::Uuid::nil()), DateTime::UNIX_EPOCH))
}

/// Everything about a server but its name.
pub(crate) fn server(server: &Server) -> Result<(), UserError> {
    in_flight(server.max_in_flight)?;
    if !(server.weight.is_finite() && server.weight > 0.0 && server.weight <= WEIGHT_MAX) {
        return Err(UserError::argument(
            "weight",
            format!("`weight` is {}, but must be above 0 and at most {WEIGHT_MAX}.", server.weight),
        ));
    }
    for (argument, seconds) in [("run_limit_s", server.run_limit_s), ("stall_limit_s", server.stall_limit_s)] {
        if !(1..=TIME_LIMIT_MAX_S).contains(&seconds) {
            return Err(UserError::argument(
                argument,
                format!("`{argument}` is {seconds}, but must lie between 1 and {TIME_LIMIT_MAX_S} seconds."),
            ));
        }
    }
    label("group", server.group.as_ref())?;
    label("gpu", server.gpu.as_ref())?;
    if let Some(given) = &server.origin {
        origin(given)?;
    }
    auth(&server.auth)
}

/// Everything about an LLM server but its name.
pub(crate) fn llm_server(server: &LlmServer) -> Result<(), UserError> {
    label("gpu", server.gpu.as_ref())
}

/// A name by which servers belong together.
fn label(argument: &str, label: Option<&String>) -> Result<(), UserError> {
    if label.is_none_or(|label| name(label).as_deref() == Ok(label)) {
        return Ok(());
    }
    Err(UserError::argument(
        argument,
        format!("`{argument}` must have 1 to {} characters and no control characters.", limits::NAME_MAX_CHARS),
    ))
}

/// An `Origin` header: scheme, host and port of a page, nothing else.
fn origin(given: &str) -> Result<(), UserError> {
    let fits = Url::parse(given).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == given.trim_end_matches('/')
    });
    if fits {
        return Ok(());
    }
    let shown: String = given.chars().take(120).collect();
    Err(UserError::argument("origin", format!("`{shown}` is no origin."))
        .with_hint("Give scheme, host and port alone, e.g. https://gpu.example.org."))
}

/// Proof of identity. The faults quote no value: one may be a secret.
fn auth(auth: &ServerAuth) -> Result<(), UserError> {
    let fault = |message: &str| Err(UserError::argument("auth", message));
    let is_token = |text: &str| {
        let tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        (1..=HEADER_NAME_MAX).contains(&text.len()) && text.bytes().all(tchar)
    };
    let sendable = |secret: &SecretSource| match secret {
        SecretSource::Literal(text) => text.len() <= SECRET_MAX_BYTES && !text.chars().any(char::is_control),
        SecretSource::Env(place) | SecretSource::File(place) => {
            !place.is_empty() && place.len() <= SECRET_MAX_BYTES && !place.contains('\0')
        }
    };
    let secrets: Vec<&SecretSource> = match auth {
        ServerAuth::None => Vec::new(),
        ServerAuth::Basic { user, .. } if user.contains(':') || user.chars().any(char::is_control) => {
            return fault("`auth.user` must hold neither a colon nor control characters.");
        }
        ServerAuth::Basic { password, .. } => vec![password],
        ServerAuth::Bearer { token } => vec![token],
        ServerAuth::ApiKey { header, .. } if !is_token(header) => return fault("`auth.header` is not a header name."),
        ServerAuth::ApiKey { key, .. } => vec![key],
        ServerAuth::Headers { headers } if headers.len() > HEADERS_MAX => {
            return fault("`auth.headers` holds too many headers.");
        }
        ServerAuth::Headers { headers } if headers.iter().any(|(name, _)| !is_token(name)) => {
            return fault("`auth.headers` holds a name that is not a header name.");
        }
        ServerAuth::Headers { headers } => headers.iter().map(|(_, secret)| secret).collect(),
    };
    if secrets.into_iter().all(sendable) {
        return Ok(());
    }
    fault("`auth` holds a secret that cannot be sent: it is too long or has control characters.")
}

pub(crate) fn style(style: &Style) -> Result<(), UserError> {
    text("prompt_template", &style.prompt_template)?;
    text("negative_template", &style.negative_template)
}

pub(crate) fn render_type(row: &RenderType) -> Result<(), UserError> {
    text("prompt_guide", &row.prompt_guide)?;
    let bounds = row.limits;
    let possible = limits::SIDE_MIN_PX..=limits::SIDE_MAX_PX;
    if !possible.contains(&bounds.min_side_px)
        || !possible.contains(&bounds.max_side_px)
        || bounds.min_side_px > bounds.max_side_px
        || bounds.side_multiple_px == 0
        || bounds.side_multiple_px > bounds.max_side_px
    {
        return Err(UserError::argument(
            "limits",
            format!(
                "`limits` must be ordered, lie between {} and {} pixels, and hold a multiple.",
                limits::SIDE_MIN_PX,
                limits::SIDE_MAX_PX
            ),
        ));
    }
    if let Some((aspect, size)) =
        row.sizes.iter().find(|(_, size)| !possible.contains(&size.width_px) || !possible.contains(&size.height_px))
    {
        return Err(UserError::argument(
            "sizes",
            format!("The size {size} for {aspect} lies outside what is possible."),
        ));
    }
    if let Some(aspect) = row.defaults.aspect.filter(|aspect| !row.sizes.contains_key(aspect)) {
        return Err(UserError::argument("defaults.aspect", format!("The default aspect ratio {aspect} has no size."))
            .with_valid(row.sizes.keys().map(|known| known.as_str())));
    }
    if row.defaults.denoise.is_some_and(|denoise| !(0.0..=1.0).contains(&denoise)) {
        return Err(UserError::argument("defaults.denoise", "The default denoise strength must lie between 0 and 1."));
    }
    Ok(())
}

/// A template, guide or description.
pub(crate) fn text(argument: &str, text: &str) -> Result<(), UserError> {
    let chars = text.chars().count();
    if chars <= TEXT_MAX_CHARS {
        return Ok(());
    }
    Err(UserError::argument(
        argument,
        format!("`{argument}` has {chars} characters; at most {TEXT_MAX_CHARS} are allowed."),
    ))
}

#[cfg(test)]
mod tests {
    use hub_core::catalogue::{Mode, SizeLimits};

    use super::*;
    use crate::plan::fixtures;

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(name(" sdxl ").as_deref(), Ok("sdxl"));
        for bad in ["", "  ", "a\nb", &"x".repeat(limits::NAME_MAX_CHARS + 1)] {
            assert_eq!(name(bad).expect_err("refused").argument.as_deref(), Some("name"));
        }
    }

    #[test]
    fn a_server_that_could_not_work_is_refused_by_field() {
        let good = NewServer::named("x", "http://gpu:8188".parse().expect("valid"));
        assert_eq!(new_server(&good), Ok(()));
        let header = |name: &str, key: &str| ServerAuth::ApiKey {
            header: name.to_owned(),
            key: SecretSource::from(key.to_owned()),
        };
        for (bad, argument) in [
            (NewServer { weight: 0.0, ..good.clone() }, "weight"),
            (NewServer { weight: -1.0, ..good.clone() }, "weight"),
            (NewServer { weight: f64::NAN, ..good.clone() }, "weight"),
            (NewServer { weight: 1e300, ..good.clone() }, "weight"),
            (NewServer { max_in_flight: 0, ..good.clone() }, "max_in_flight"),
            (NewServer { run_limit_s: 0, ..good.clone() }, "run_limit_s"),
            (NewServer { stall_limit_s: u32::MAX, ..good.clone() }, "stall_limit_s"),
            (NewServer { group: Some(String::new()), ..good.clone() }, "group"),
            (NewServer { gpu: Some("a\nb".to_owned()), ..good.clone() }, "gpu"),
            (NewServer { origin: Some("https://x/path".to_owned()), ..good.clone() }, "origin"),
            (NewServer { origin: Some("null".to_owned()), ..good.clone() }, "origin"),
            (NewServer { auth: header("no spaces", "k"), ..good.clone() }, "auth"),
            (NewServer { auth: header("X-Key", "hunter2\r\nX-Evil: 1"), ..good.clone() }, "auth"),
        ] {
            let error = new_server(&bad).expect_err(argument);
            assert_eq!(error.argument.as_deref(), Some(argument));
            assert!(!error.explain().contains("hunter2"));
        }
        let origin = NewServer { origin: Some("https://gpu.example.org:8443".to_owned()), ..good };
        assert_eq!(new_server(&origin), Ok(()));
    }

    #[test]
    fn a_render_type_that_no_request_could_use_is_refused() {
        let good = fixtures::render_type("x", Mode::Generate);
        assert_eq!(render_type(&good), Ok(()));
        let mut crossed = good.clone();
        crossed.limits = SizeLimits { min_side_px: 512, max_side_px: 256, side_multiple_px: 8 };
        assert!(render_type(&crossed).is_err());
        let fault = |row: &RenderType| render_type(row).expect_err("refused").argument.unwrap_or_default();
        let mut hot = good.clone();
        hot.defaults.denoise = Some(1.5);
        assert_eq!(fault(&hot), "defaults.denoise");
        let mut sizeless = good;
        sizeless.sizes.clear();
        sizeless.defaults.aspect = Some(hub_core::request::AspectRatio::R1x1);
        assert_eq!(fault(&sizeless), "defaults.aspect");
    }
}
