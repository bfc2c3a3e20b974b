//! What a key lets its holder do. Rules alone: who holds one is found out elsewhere.

use std::{collections::BTreeSet, fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Caller, WEIGHT_DEFAULT, WEIGHT_MAX, WEIGHT_MIN},
    error::{ErrorCode, UserError},
    ids::KeyId,
};

/// Longest name of a key, in characters.
pub const KEY_NAME_MAX_CHARS: usize = 60;
/// Names that callers have who hold no stored key.
pub const RESERVED_NAMES: [&str; 5] = ["admin", "api-key", "local", "command line", "stranger"];
/// What names of callers with an access token begin with; no key has such a name.
pub const TOKEN_CALLERS: &str = "oauth:";
/// The tools that make a job, and the scope each needs.
const JOB_TOOLS: [(&str, Scope); 6] = [
    ("generate_image", Scope::Generate),
    ("upscale_image", Scope::Generate),
    ("edit_image", Scope::Generate),
    ("detail_image", Scope::Generate),
    ("generate_prompt", Scope::Generate),
    ("describe_image", Scope::Describe),
];

/// One thing that a key may be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Make pictures and prompts; see one's own.
    Generate,
    /// Have pictures described.
    Describe,
    /// See how the hub is: servers, workflows, statistics, metrics. Jobs and pictures only one's own.
    Read,
    /// Everything, everybody's jobs included.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Generate, Self::Describe, Self::Read, Self::Admin];

    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Describe => "describe",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = UserError;

    fn from_str(text: &str) -> Result<Self, UserError> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            UserError::argument("scopes", format!("There is no scope `{shown}`."))
                .with_valid(Self::ALL.map(Self::as_str))
        })
    }
}

/// What a key allows and how much of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyRights {
    /// What it is good for.
    pub scopes: BTreeSet<Scope>,
    /// Tools it may call; none = all that its scopes allow.
    #[serde(default)]
    pub tools: BTreeSet<String>,
    /// Render types it may use, by name; none = all.
    #[serde(default)]
    pub render_types: BTreeSet<String>,
    /// Most requests per minute; none = any number.
    #[serde(default)]
    pub rate_per_minute: Option<u32>,
    /// Most pictures per day (UTC); none = any number.
    #[serde(default)]
    pub images_per_day: Option<u32>,
    /// Most seconds on GPUs per day (UTC); none = any number.
    #[serde(default)]
    pub gpu_seconds_per_day: Option<u32>,
    /// Share of the pool against others.
    pub weight: f64,
}

impl Default for KeyRights {
    fn default() -> Self {
        Self {
            scopes: BTreeSet::from([Scope::Generate, Scope::Describe]),
            tools: BTreeSet::new(),
            render_types: BTreeSet::new(),
            rate_per_minute: None,
            images_per_day: None,
            gpu_seconds_per_day: None,
            weight: WEIGHT_DEFAULT,
        }
    }
}

impl KeyRights {
    /// Refuses rights that make no sense.
    ///
    /// # Errors
    /// `bad_argument` naming the field and what is valid.
    pub fn check(&self) -> Result<(), UserError> {
        if self.scopes.is_empty() {
            let error = UserError::argument("scopes", "A key without a scope is good for nothing.");
            return Err(error.with_valid(Scope::ALL.map(Scope::as_str)));
        }
        if let Some(unknown) = self.tools.iter().find(|tool| JOB_TOOLS.iter().all(|(known, _)| known != tool)) {
            let shown: String = unknown.chars().take(60).collect();
            let error = UserError::argument("tools", format!("There is no tool `{shown}` that makes a job."));
            return Err(error.with_valid(JOB_TOOLS.map(|(known, _)| known)));
        }
        if !(WEIGHT_MIN..=WEIGHT_MAX).contains(&self.weight) {
            let message = format!("`weight` is {}, but must be from {WEIGHT_MIN} to {WEIGHT_MAX}.", self.weight);
            return Err(UserError::argument("weight", message));
        }
        let counts = [
            ("rate_per_minute", self.rate_per_minute),
            ("images_per_day", self.images_per_day),
            ("gpu_seconds_per_day", self.gpu_seconds_per_day),
        ];
        match counts.iter().find(|(_, count)| *count == Some(0)) {
            Some((field, _)) => Err(UserError::argument(
                field,
                format!("`{field}` is 0; leave it out for no limit, or revoke the key."),
            )),
            None => Ok(()),
        }
    }

    /// Whether it is good for `scope`.
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }

    /// The tools that make jobs and that it may call.
    pub fn allowed_tools(&self) -> impl Iterator<Item = &'static str> {
        JOB_TOOLS
            .into_iter()
            .filter(|(tool, scope)| self.has(*scope) && (self.tools.is_empty() || self.tools.contains(*tool)))
            .map(|(tool, _)| tool)
    }

    /// Refuses a tool that it may not call.
    ///
    /// # Errors
    /// `forbidden` with the tools it may call.
    pub fn check_tool(&self, tool: &str) -> Result<(), UserError> {
        if self.allowed_tools().any(|allowed| allowed == tool) {
            return Ok(());
        }
        let error = UserError::new(ErrorCode::Forbidden, format!("This key may not call {tool}."));
        Err(error.with_valid(self.allowed_tools()).with_hint("Whoever runs the hub can change what the key allows."))
    }

    /// Refuses a render type that it may not use.
    ///
    /// # Errors
    /// `forbidden` with the render types it may use.
    pub fn check_render_type(&self, name: &str) -> Result<(), UserError> {
        if self.render_types.is_empty() || self.has(Scope::Admin) || self.render_types.contains(name) {
            return Ok(());
        }
        let mut error = UserError::new(ErrorCode::Forbidden, format!("This key may not use the render type `{name}`."));
        error.argument = Some("render_type".to_owned());
        Err(error.with_valid(&self.render_types))
    }
}

/// A key as it is stored: without the key itself, of which only a hash is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// Name of its caller.
    pub name: String,
    /// The first characters of the key, to recognise it by.
    pub prefix: String,
    /// What it allows.
    pub rights: KeyRights,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when it is no longer taken.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl ApiKey {
    /// The caller that its jobs belong to.
    pub fn caller(&self) -> Caller {
        Caller::named(&self.name)
    }

    /// Whether it is taken at `now`.
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// A key's name, trimmed.
///
/// # Errors
/// `bad_argument` saying what names are like.
pub fn parse_key_name(given: &str) -> Result<String, UserError> {
    let name = given.trim();
    let chars = name.chars().count();
    if chars == 0 || chars > KEY_NAME_MAX_CHARS || name.chars().any(char::is_control) {
        let message = format!("A key's name has 1 to {KEY_NAME_MAX_CHARS} characters and no control characters.");
        return Err(UserError::argument("name", message));
    }
    if RESERVED_NAMES.contains(&name) || name.starts_with(TOKEN_CALLERS) {
        let message = format!("`{name}` is the name of a caller without a stored key; choose another.");
        return Err(UserError::argument("name", message));
    }
    Ok(name.to_owned())
}

/// What was spent since some moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Pictures made, and those that unfinished jobs are to make.
    pub images: u64,
    /// Time that attempts took, in milliseconds.
    pub gpu_ms: u64,
}

impl KeyRights {
    /// Refuses `pictures` more after what was spent today.
    ///
    /// # Errors
    /// `quota_exceeded` naming the limit and when it begins anew.
    pub fn check_quota(&self, spent: Usage, pictures: u32, now: DateTime<Utc>) -> Result<(), UserError> {
        let refusal = |what: String| {
            let anew = day_end(now);
            let seconds = (anew - now).num_seconds().clamp(1, i64::from(u32::MAX));
            UserError::new(ErrorCode::QuotaExceeded, what)
                .with_hint(format!("The count begins anew at {}.", anew.format("%Y-%m-%dT%H:%M:%SZ")))
                .with_retry_after_s(u32::try_from(seconds).unwrap_or(u32::MAX))
        };
        if let Some(most) = self.images_per_day
            && spent.images + u64::from(pictures) > u64::from(most)
        {
            let images = spent.images;
            let more = if images < u64::from(most) { format!(" {pictures} more are too many.") } else { String::new() };
            return Err(refusal(format!(
                "This key's {most} pictures of today are used up: {images} were asked for.{more}"
            )));
        }
        if let Some(most) = self.gpu_seconds_per_day
            && spent.gpu_ms >= u64::from(most) * 1000
        {
            let seconds = spent.gpu_ms / 1000;
            return Err(refusal(format!("This key's {most} GPU-seconds of today are used up: {seconds} were taken.")));
        }
        Ok(())
    }

    /// Whether what was spent must be known.
    pub fn has_quota(&self) -> bool {
        self.images_per_day.is_some() || self.gpu_seconds_per_day.is_some()
    }
}

/// The day's begin, by which quotas count.
pub fn day_begin(now: DateTime<Utc>) -> DateTime<Utc> {
    now.date_naive().and_time(chrono::NaiveTime::MIN).and_utc()
}

fn day_end(now: DateTime<Utc>) -> DateTime<Utc> {
    day_begin(now) + chrono::TimeDelta::days(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(scopes: &[Scope]) -> KeyRights {
        KeyRights { scopes: scopes.iter().copied().collect(), ..KeyRights::default() }
    }

    fn now() -> DateTime<Utc> {
        "2026-11-21T22:30:00Z".parse().expect("a time")
    }

    #[test]
    fn scopes_and_tools_bound_each_other() {
        let mut describing = rights(&[Scope::Describe]);
        assert_eq!(describing.allowed_tools().collect::<Vec<_>>(), ["describe_image"]);
        let error = describing.check_tool("generate_image").expect_err("not in scope");
        assert_eq!((error.code, error.valid_values), (ErrorCode::Forbidden, vec!["describe_image".to_owned()]));
        describing.tools = BTreeSet::from(["generate_image".to_owned()]);
        assert!(describing.check_tool("generate_image").is_err(), "a tool is no scope");
        assert!(describing.check_tool("describe_image").is_err(), "not among the tools");
        assert!(rights(&[Scope::Admin]).check_tool("edit_image").is_ok());
        assert!(rights(&[Scope::Read]).check_tool("describe_image").is_err());
    }

    #[test]
    fn a_render_type_outside_the_list_is_refused_with_the_list() {
        let mut some = rights(&[Scope::Generate]);
        assert!(some.check_render_type("flux").is_ok());
        some.render_types = BTreeSet::from(["sd15".to_owned()]);
        assert!(some.check_render_type("sd15").is_ok());
        let error = some.check_render_type("flux").expect_err("not listed");
        assert_eq!(error.valid_values, ["sd15"]);
        assert_eq!(error.argument.as_deref(), Some("render_type"));
    }

    #[test]
    fn a_quota_ends_with_the_day() {
        let mut quota = rights(&[Scope::Generate]);
        assert!(quota.check_quota(Usage { images: 999, gpu_ms: 999_000 }, 1, now()).is_ok());
        quota.images_per_day = Some(3);
        assert!(quota.check_quota(Usage { images: 2, gpu_ms: 0 }, 1, now()).is_ok());
        let error = quota.check_quota(Usage { images: 2, gpu_ms: 0 }, 2, now()).expect_err("too many");
        assert_eq!((error.code, error.retry_after_s), (ErrorCode::QuotaExceeded, Some(5400)));
        assert!(error.hint.expect("a hint").contains("2026-11-22T00:00:00Z"));
        quota = KeyRights { gpu_seconds_per_day: Some(10), ..rights(&[Scope::Generate]) };
        assert!(quota.check_quota(Usage { images: 0, gpu_ms: 9_999 }, 1, now()).is_ok());
        assert!(quota.check_quota(Usage { images: 0, gpu_ms: 10_000 }, 1, now()).is_err());
    }

    #[test]
    fn absurd_rights_and_names_are_refused_by_field() {
        let fault = |rights: KeyRights| rights.check().expect_err("absurd").argument;
        assert_eq!(fault(rights(&[])).as_deref(), Some("scopes"));
        assert_eq!(fault(KeyRights { weight: f64::NAN, ..KeyRights::default() }).as_deref(), Some("weight"));
        assert_eq!(
            fault(KeyRights { images_per_day: Some(0), ..KeyRights::default() }).as_deref(),
            Some("images_per_day")
        );
        let tools = BTreeSet::from(["get_job".to_owned()]);
        assert_eq!(fault(KeyRights { tools, ..KeyRights::default() }).as_deref(), Some("tools"));
        for name in ["", " ", "admin", "local", "a\nb", &"x".repeat(61)] {
            assert!(parse_key_name(name).is_err(), "{name:?}");
        }
        assert_eq!(parse_key_name(" bot ").expect("a name"), "bot");
    }

    #[test]
    fn a_key_lives_until_it_expires_or_is_revoked() {
        let key = ApiKey {
            id: KeyId::new(),
            name: "bot".to_owned(),
            prefix: "gih_x".to_owned(),
            rights: KeyRights::default(),
            created_at: now(),
            expires_at: Some(now()),
            last_used_at: None,
            revoked_at: None,
        };
        assert!(!key.is_live(now()));
        assert!(key.is_live(now() - chrono::TimeDelta::seconds(1)));
        let revoked = ApiKey { revoked_at: Some(now()), expires_at: None, ..key };
        assert!(!revoked.is_live(now()));
    }
}
